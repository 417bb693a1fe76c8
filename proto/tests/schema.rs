//! The schema keeps its promises: nothing is renumbered or removed, and everything is explained.

use dovetail_proto::DESCRIPTOR;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, field_descriptor_proto::Label,
};
use std::{collections::BTreeSet, env, fs, path::Path};

/// Set it to write the golden file anew.
const UPDATE: &str = "DOVETAIL_UPDATE_GOLDEN";
/// Field numbers of descriptor messages, which make up the paths of source_code_info.
mod path {
    pub(crate) const FILE_MESSAGE: i32 = 4;
    pub(crate) const FILE_ENUM: i32 = 5;
    pub(crate) const FILE_SERVICE: i32 = 6;
    pub(crate) const MESSAGE_FIELD: i32 = 2;
    pub(crate) const MESSAGE_ONEOF: i32 = 8;
    pub(crate) const ENUM_VALUE: i32 = 2;
    pub(crate) const SERVICE_METHOD: i32 = 2;
}

fn files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(DESCRIPTOR).expect("the build made it");
    let ours: Vec<_> = set
        .file
        .into_iter()
        .filter(|file| file.package() == "dovetail.v1")
        .collect();
    assert_eq!(ours.len(), 5);
    ours
}

fn field_line(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let type_name = field.type_name.as_deref().map_or_else(
        || format!("{:?}", field.r#type()).to_lowercase(),
        |name| name.trim_start_matches('.').to_owned(),
    );
    let shape = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    let oneof = match field.oneof_index {
        Some(index) if !field.proto3_optional() => {
            let index = usize::try_from(index).expect("an index is not negative");
            format!(" in {}", message.oneof_decl[index].name())
        }
        _ => String::new(),
    };
    format!(
        "{}.{} = {} {shape}{type_name}{oneof}",
        message.name(),
        field.name(),
        field.number()
    )
}

fn message_lines(message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    lines.insert(format!("message {}", message.name()));
    lines.extend(message.field.iter().map(|field| field_line(message, field)));
    for range in &message.reserved_range {
        lines.extend(
            (range.start()..range.end()).map(|n| format!("{}.reserved {n}", message.name())),
        );
    }
    lines.extend(
        message
            .reserved_name
            .iter()
            .map(|n| format!("{}.reserved {n}", message.name())),
    );
    for nested in &message.nested_type {
        message_lines(nested, lines);
    }
}

fn enum_lines(kind: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    let values = kind.value.iter();
    lines.extend(values.map(|v| format!("{}.{} = {}", kind.name(), v.name(), v.number())));
    for range in &kind.reserved_range {
        // An enum's range includes its end, a message's does not.
        lines
            .extend((range.start()..=range.end()).map(|n| format!("{}.reserved {n}", kind.name())));
    }
    lines.extend(
        kind.reserved_name
            .iter()
            .map(|n| format!("{}.reserved {n}", kind.name())),
    );
}

fn lines() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for file in files() {
        file.message_type
            .iter()
            .for_each(|message| message_lines(message, &mut lines));
        file.enum_type
            .iter()
            .for_each(|kind| enum_lines(kind, &mut lines));
        for service in &file.service {
            lines.extend(service.method.iter().map(|method| {
                let stream = |on: bool| if on { "stream " } else { "" };
                format!(
                    "rpc {}.{} ({}{}) -> {}{}",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    method.input_type().trim_start_matches(".dovetail.v1."),
                    stream(method.server_streaming()),
                    method.output_type().trim_start_matches(".dovetail.v1."),
                )
            }));
        }
    }
    lines
}

#[test]
fn no_field_is_removed_renumbered_or_retyped() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/descriptor.txt");
    let now = lines();
    if env::var_os(UPDATE).is_some() {
        let text: String = now.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&golden, text).unwrap();
    }
    let text = fs::read_to_string(&golden).unwrap();
    let before: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let lost: Vec<&String> = before.difference(&now).collect();
    let new: Vec<&String> = now.difference(&before).collect();
    assert!(
        lost.is_empty() && new.is_empty(),
        "the schema is not what proto/golden/descriptor.txt promises\n\
         removed or changed, which breaks peers of another version: {lost:#?}\n\
         new: {new:#?}\n\
         if this is meant: {UPDATE}=1 cargo test -p dovetail-proto --test schema"
    );
}

/// Every thing in a file that must be explained: its path in the descriptor and its name.
fn explained(file: &FileDescriptorProto) -> Vec<(Vec<i32>, String)> {
    let at = |index: usize| i32::try_from(index).expect("files are small");
    let mut things = Vec::new();
    for (m, message) in file.message_type.iter().enumerate() {
        let root = vec![path::FILE_MESSAGE, at(m)];
        for (f, field) in message.field.iter().enumerate() {
            let path = [root.clone(), vec![path::MESSAGE_FIELD, at(f)]].concat();
            things.push((path, format!("{}.{}", message.name(), field.name())));
        }
        // The oneofs that `optional` makes have no text of their own; their names begin with '_'.
        for (o, oneof) in message.oneof_decl.iter().enumerate() {
            let path = [root.clone(), vec![path::MESSAGE_ONEOF, at(o)]].concat();
            if !oneof.name().starts_with('_') {
                things.push((path, format!("{}.{}", message.name(), oneof.name())));
            }
        }
        things.push((root, message.name().to_owned()));
    }
    for (e, kind) in file.enum_type.iter().enumerate() {
        let root = vec![path::FILE_ENUM, at(e)];
        for (v, value) in kind.value.iter().enumerate() {
            let path = [root.clone(), vec![path::ENUM_VALUE, at(v)]].concat();
            things.push((path, value.name().to_owned()));
        }
        things.push((root, kind.name().to_owned()));
    }
    for (s, service) in file.service.iter().enumerate() {
        let root = vec![path::FILE_SERVICE, at(s)];
        for (m, method) in service.method.iter().enumerate() {
            let path = [root.clone(), vec![path::SERVICE_METHOD, at(m)]].concat();
            things.push((path, format!("{}.{}", service.name(), method.name())));
        }
        things.push((root, service.name().to_owned()));
    }
    things
}

#[test]
fn everything_in_the_schema_is_explained() {
    let mut unexplained = Vec::new();
    let mut count = 0;
    for file in files() {
        let info = file
            .source_code_info
            .as_ref()
            .expect("the descriptor keeps comments");
        let commented: BTreeSet<&[i32]> = info
            .location
            .iter()
            .filter(|location| !location.leading_comments().trim().is_empty())
            .map(|location| location.path.as_slice())
            .collect();
        for (path, name) in explained(&file) {
            count += 1;
            if !commented.contains(path.as_slice()) {
                unexplained.push(name);
            }
        }
    }
    assert!(
        unexplained.is_empty(),
        "without a comment above it: {unexplained:#?}"
    );
    assert!(count > 250, "only {count} things were looked at");
}
