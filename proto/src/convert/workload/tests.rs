//! Every field of a workload is refused by its path, and the bounds are where the schema says.

use super::*;

mod nodes;
mod round_trip;

use nodes::NODE_ROWS;

fn good() -> v1::WorkloadSpec {
    v1::WorkloadSpec {
        name: "train".to_owned(),
        kind: v1::WorkloadKind::Batch.into(),
        argv: vec!["/bin/true".to_owned()],
        resources: Some(v1::Resources {
            cpu_milli: 1000,
            memory_bytes: 1 << 30,
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn share(compute_milli: Option<u32>, memory_bytes: Option<u64>) -> v1::GpuRequest {
    v1::GpuRequest {
        amount: Some(v1::gpu_request::Amount::Share(v1::GpuShare {
            compute_milli,
            memory_bytes,
        })),
        models: Vec::new(),
    }
}

fn whole(count: u32) -> v1::GpuRequest {
    v1::GpuRequest {
        amount: Some(v1::gpu_request::Amount::Whole(v1::WholeGpus { count })),
        models: Vec::new(),
    }
}

fn with_models(models: &[&str]) -> v1::GpuRequest {
    v1::GpuRequest {
        models: models.iter().map(ToString::to_string).collect(),
        ..whole(1)
    }
}

fn one(key: &str, value: &str) -> HashMap<String, String> {
    HashMap::from([(key.to_owned(), value.to_owned())])
}

fn many(count: usize) -> HashMap<String, String> {
    (0..count)
        .map(|i| (format!("K{i}"), String::new()))
        .collect()
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

fn nanos(nanos: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: 1, nanos })
}

fn restart(policy: i32, limit: u32, backoff: i64) -> Option<v1::Restart> {
    Some(v1::Restart {
        policy,
        limit,
        backoff: seconds(backoff),
    })
}

fn resources(wire: &mut v1::WorkloadSpec) -> &mut v1::Resources {
    wire.resources.get_or_insert_default()
}

/// A way to spoil a workload, the field that must be named, and a part of what must be said.
type Row = (fn(&mut v1::WorkloadSpec), &'static str, &'static str);

const TEXT_ROWS: [Row; 32] = [
    (|w| w.name.clear(), "name", "is required"),
    (|w| w.name = "Train".into(), "name", "lower-case"),
    (|w| w.name = "x".repeat(64), "name", "1 to 63"),
    (
        |w| w.kind = 0,
        "kind",
        "WORKLOAD_KIND_BATCH, WORKLOAD_KIND_SERVICE or WORKLOAD_KIND_SESSION, got WORKLOAD_KIND_UNSPECIFIED",
    ),
    (|w| w.kind = 99, "kind", "got the unknown number 99"),
    (|w| w.kind = -1, "kind", "got the unknown number -1"),
    (|w| w.argv.clear(), "argv", "is required"),
    (
        |w| w.argv = vec![String::new()],
        "argv[0]",
        "must be a program",
    ),
    (
        |w| w.argv = vec!["bin/true".into()],
        "argv[0]",
        "absolute path",
    ),
    (|w| w.argv.push("a\0b".into()), "argv[1]", "NUL"),
    (
        |w| w.argv = vec!["a".into(); 257],
        "argv",
        "at most 256 elements, got 257",
    ),
    (
        |w| w.argv.push("a".repeat(128 << 10)),
        "argv",
        "at most 131072 bytes in all",
    ),
    (
        |w| w.env = one("1A", ""),
        "env[\"1A\"]",
        "not beginning with a digit",
    ),
    (|w| w.env = one("", ""), "env[\"\"]", "must be named"),
    (|w| w.env = one("A=B", ""), "env[\"A=B\"]", "must be named"),
    (
        |w| w.env = one("RANK", "0"),
        "env[\"RANK\"]",
        "set by Dovetail",
    ),
    (
        |w| w.env = one("DOVETAIL_X", "0"),
        "env[\"DOVETAIL_X\"]",
        "set by Dovetail",
    ),
    (|w| w.env = one("A", "x\0"), "env[\"A\"]", "NUL"),
    (|w| w.env = many(257), "env", "at most 256 elements"),
    (
        |w| w.env = one("A", &"x".repeat(128 << 10)),
        "env",
        "at most 131072 bytes",
    ),
    (|w| w.workdir = "tmp".into(), "workdir", "absolute path"),
    (
        |w| w.workdir = "/a\nb".into(),
        "workdir",
        "control characters",
    ),
    (
        |w| w.workdir = format!("/{}", "x".repeat(4095)),
        "workdir",
        "at most 4095 bytes, got 4096",
    ),
    (|w| w.user = "a b".into(), "user", "name or number"),
    (|w| w.user = "root:0".into(), "user", "name or number"),
    (|w| w.user = "a\0".into(), "user", "control characters"),
    (|w| w.queue = "A".into(), "queue", "lower-case"),
    (
        |w| w.labels = one("", "x"),
        "labels[\"\"]",
        "must have a key",
    ),
    (
        |w| w.labels = one("k", &"x".repeat(64)),
        "labels[\"k\"]",
        "at most 63 bytes, got 64",
    ),
    (
        |w| w.labels = one(&"k".repeat(64), "x"),
        "labels[\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk…\"]",
        "at most 63 bytes",
    ),
    (
        |w| w.labels = one("k", "\u{1b}[0m"),
        "labels[\"k\"]",
        "control characters, got `\\u{1b}[0m`",
    ),
    (
        |w| w.labels = many(65),
        "labels",
        "at most 64 elements, got 65",
    ),
];

const NUMBER_ROWS: [Row; 37] = [
    (
        |w| w.gang_size = 1025,
        "gang_size",
        "must be 1 to 1024, got 1025",
    ),
    (
        |w| w.priority = 1001,
        "priority",
        "must be -1000 to 1000, got 1001",
    ),
    (|w| w.priority = -1001, "priority", "got -1001"),
    (|w| w.resources = None, "resources", "is required"),
    (
        |w| resources(w).cpu_milli = 0,
        "resources.cpu_milli",
        "must be 1 to 4096000, got 0",
    ),
    (
        |w| resources(w).cpu_milli = u64::MAX,
        "resources.cpu_milli",
        "got 18446744073709551615",
    ),
    (
        |w| resources(w).cpu_limit_milli = Some(999),
        "resources.cpu_limit_milli",
        "at least cpu_milli, which is 1000, got 999",
    ),
    (
        |w| resources(w).cpu_limit_milli = Some(4_096_001),
        "resources.cpu_limit_milli",
        "must be 1000 to 4096000",
    ),
    (
        |w| resources(w).memory_bytes = 0,
        "resources.memory_bytes",
        "must be 4 MiB to 64 TiB, got 0 B",
    ),
    (
        |w| resources(w).memory_bytes = (64 << 40) + 1,
        "resources.memory_bytes",
        "must be 4 MiB to 64 TiB",
    ),
    (
        |w| resources(w).minimum_level = 8,
        "resources.minimum_level",
        "LEVEL_NONE, LEVEL_SHARED",
    ),
    (
        |w| resources(w).minimum_level = -3,
        "resources.minimum_level",
        "unknown number -3",
    ),
    (
        |w| resources(w).gpu = Some(v1::GpuRequest::default()),
        "resources.gpu",
        "exactly one of `whole` and `share`",
    ),
    (
        |w| resources(w).gpu = Some(whole(0)),
        "resources.gpu.whole.count",
        "must be 1 to 64, got 0",
    ),
    (
        |w| resources(w).gpu = Some(whole(65)),
        "resources.gpu.whole.count",
        "got 65",
    ),
    (
        |w| resources(w).gpu = Some(share(None, None)),
        "resources.gpu.share",
        "or both",
    ),
    (
        |w| resources(w).gpu = Some(share(Some(0), None)),
        "resources.gpu.share.compute_milli",
        "must be 1 to 1000, got 0",
    ),
    (
        |w| resources(w).gpu = Some(share(Some(1500), None)),
        "resources.gpu.share.compute_milli",
        "must be 1 to 1000, got 1500",
    ),
    (
        |w| resources(w).gpu = Some(share(None, Some(0))),
        "resources.gpu.share.memory_bytes",
        "must be 1 MiB to 16 TiB, got 0 B",
    ),
    (
        |w| resources(w).gpu = Some(share(Some(1), Some(u64::MAX))),
        "resources.gpu.share.memory_bytes",
        "16 TiB",
    ),
    (
        |w| resources(w).gpu = Some(with_models(&["H100"; 17])),
        "resources.gpu.models",
        "at most 16 elements, got 17",
    ),
    (
        |w| resources(w).gpu = Some(with_models(&["H100", " "])),
        "resources.gpu.models[1]",
        "must not be empty",
    ),
    (
        |w| resources(w).gpu = Some(with_models(&["\0"])),
        "resources.gpu.models[0]",
        "control characters",
    ),
    (
        |w| resources(w).gpu = Some(with_models(&[&"x".repeat(97)])),
        "resources.gpu.models[0]",
        "at most 96 bytes, got 97",
    ),
    (
        |w| w.runtime = 2,
        "runtime",
        "must be RUNTIME_EXEC, got the unknown number 2",
    ),
    (
        |w| w.max_runtime = seconds(0),
        "max_runtime",
        "must be 1 s to 365 days, got 0 s",
    ),
    (|w| w.max_runtime = seconds(-5), "max_runtime", "got -5 s"),
    (
        |w| w.max_runtime = seconds(i64::MAX),
        "max_runtime",
        "must be 1 s to 365 days",
    ),
    (
        |w| w.stop_signal = 32,
        "stop_signal",
        "must be 1 to 31, got 32",
    ),
    (
        |w| w.stop_grace = seconds(3601),
        "stop_grace",
        "must be 0 s to 1 h, got 3601 s",
    ),
    (|w| w.stop_grace = seconds(-1), "stop_grace", "got -1 s"),
    (|w| w.stop_grace = nanos(-1), "stop_grace", "and -1 ns"),
    (
        |w| w.restart = restart(4, 1, 1),
        "restart.policy",
        "RESTART_POLICY_ON_FAILURE",
    ),
    (
        |w| w.restart = restart(1, 1001, 1),
        "restart.limit",
        "must be 1 to 1000, got 1001",
    ),
    (
        |w| w.restart = restart(1, 1, 3601),
        "restart.backoff",
        "must be 0 s to 1 h, got 3601 s",
    ),
    (
        |w| w.restart = restart(1, 1, -1),
        "restart.backoff",
        "got -1 s",
    ),
    (|w| w.kind = i32::MAX, "kind", "unknown number 2147483647"),
];

#[test]
fn every_field_is_refused_by_its_path_and_its_range() {
    let rows = TEXT_ROWS.into_iter().chain(NUMBER_ROWS).chain(NODE_ROWS);
    for (spoil, field, words) in rows {
        let mut wire = good();
        spoil(&mut wire);
        let violations = spec(wire).expect_err(field).0;
        assert_eq!(violations.len(), 1, "{field}: {violations:?}");
        assert_eq!(violations[0].field, format!("workload.{field}"));
        assert!(violations[0].description.contains(words), "{violations:?}");
    }
}

#[test]
fn no_field_of_the_schema_is_left_out_of_the_table() {
    let named: Vec<String> = TEXT_ROWS
        .iter()
        .chain(&NUMBER_ROWS)
        .chain(&NODE_ROWS)
        .map(|row| row.1.to_owned())
        .collect();
    for message in [
        "WorkloadSpec",
        "Resources",
        "GpuRequest",
        "WholeGpus",
        "GpuShare",
        "Restart",
        "Toleration",
        "Movable",
    ] {
        for field in schema_fields(message) {
            let spoiled = named
                .iter()
                .any(|path| path.split(['.', '[']).any(|part| part == field));
            assert!(spoiled, "no row spoils {message}.{field}");
        }
    }
}

fn schema_fields(message: &str) -> Vec<String> {
    use prost::Message as _;
    let set = prost_types::FileDescriptorSet::decode(crate::DESCRIPTOR).unwrap();
    let found = set
        .file
        .into_iter()
        .flat_map(|file| file.message_type)
        .find(|m| m.name() == message)
        .expect(message);
    found
        .field
        .iter()
        .map(|field| field.name().to_owned())
        .collect()
}

#[test]
fn every_bad_field_is_named_at_once() {
    let mut wire = good();
    wire.name = String::new();
    wire.priority = 5000;
    wire.env = one("RANK", "1");
    wire.stop_signal = 99;
    resources(&mut wire).gpu = Some(share(Some(1500), Some(0)));
    let violations = spec(wire).unwrap_err();
    let fields: Vec<&str> = violations.0.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "workload.name",
            "workload.env[\"RANK\"]",
            "workload.priority",
            "workload.resources.gpu.share.compute_milli",
            "workload.resources.gpu.share.memory_bytes",
            "workload.stop_signal",
        ]
    );
    let text = violations.to_string();
    assert!(
        text.contains("`workload.priority` must be -1000 to 1000, got 5000; "),
        "{text}"
    );
}

#[test]
fn a_thousand_bad_entries_neither_fill_an_answer_nor_hide_other_fields() {
    let mut wire = good();
    wire.argv = vec!["x\0".repeat(100); 256];
    wire.env = (0..256).map(|i| (format!("1{i}"), String::new())).collect();
    wire.restart = restart(9, 1, 1);
    let violations = spec(wire).unwrap_err().0;
    assert_eq!(violations.len(), 5 + 5 + 1);
    assert_eq!(violations[10].field, "workload.restart.policy");
    let size: usize = violations
        .iter()
        .map(|v| v.field.len() + v.description.len())
        .sum();
    assert!(size < 8 << 10, "{size}");
}

#[test]
fn absent_fields_get_their_defaults() {
    let spec = spec(good()).unwrap();
    assert_eq!(spec, WorkloadSpec::example("train"));
}

#[test]
fn the_largest_workload_is_taken_and_one_byte_more_is_not() {
    let mut wire = good();
    // 256 arguments, each with its NUL, fill exactly 128 KiB.
    wire.argv = vec!["a".repeat(511); 256];
    wire.env = (0..256)
        .map(|i| (format!("K{i:03}"), "v".repeat(506)))
        .collect();
    wire.labels = (0..64)
        .map(|i| (format!("{i:063}"), "v".repeat(63)))
        .collect();
    wire.workdir = format!("/{}", "x".repeat(4094));
    wire.gang_size = 1024;
    wire.max_runtime = seconds(365 * 86_400);
    wire.stop_grace = seconds(3600);
    wire.restart = restart(3, 1000, 3600);
    *resources(&mut wire) = v1::Resources {
        cpu_milli: 4_096_000,
        cpu_limit_milli: Some(4_096_000),
        memory_bytes: 64 << 40,
        gpu: Some(share(Some(1000), Some(16 << 40))),
        minimum_level: 7,
    };
    let largest = spec(wire.clone()).unwrap();
    assert_eq!(spec(spec_to_wire(&largest)), Ok(largest));
    wire.argv[255].push('a');
    assert_eq!(spec(wire).unwrap_err().0[0].field, "workload.argv");
}

#[test]
fn newlines_in_arguments_and_environment_are_content() {
    let mut wire = good();
    wire.argv = vec!["bash".into(), "-c".into(), "echo a\necho b".into()];
    wire.env = one("A", "x\ny");
    assert!(spec(wire).is_ok());
}

#[test]
fn a_name_that_looks_like_an_id_is_refused() {
    let mut wire = spec_to_wire(&WorkloadSpec::example("a"));
    wire.name = "w9".to_owned();
    let fields: Vec<String> = spec(wire.clone())
        .unwrap_err()
        .0
        .into_iter()
        .map(|v| v.field)
        .collect();
    assert_eq!(fields, ["workload.name"]);
    wire.name = "w9a".to_owned();
    assert!(spec(wire).is_ok());
}
