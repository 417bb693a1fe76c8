//! A workload from a file and flags. Only what was typed is read here; whether it is acceptable
//! is the scheduler's to say, in one place.

use crate::{
    args::{Kind, LevelArg, RestartArg, SpecArgs},
    error::CliError,
    json,
};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU};
use dovetail_proto::v1::{
    GpuRequest, GpuShare, Level, Movable, Resources, Restart, RestartPolicy, Toleration,
    TolerationOperator, WholeGpus, WorkloadKind, WorkloadSpec, gpu_request::Amount,
};
use std::{io::Read as _, path::Path, str::FromStr};

const MESSAGE: &str = "WorkloadSpec";
/// Largest specification read.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// The workload that was meant.
pub(crate) fn build(args: SpecArgs) -> Result<WorkloadSpec, CliError> {
    let mut spec = match &args.file {
        Some(file) => from_file(file)?,
        None => WorkloadSpec::default(),
    };
    resources(&mut spec, &args)?;
    durations(&mut spec, &args)?;
    pairs(&mut spec, &args)?;
    nodes(&mut spec, &args)?;
    scalars(&mut spec, args);
    if spec.name.is_empty() {
        spec.name = default_name(&spec.argv);
    }
    if spec.kind == 0 {
        spec.kind = WorkloadKind::Batch.into();
    }
    Ok(spec)
}

fn from_file(path: &Path) -> Result<WorkloadSpec, CliError> {
    let mut text = String::new();
    let shown = path.display();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .take(FILE_MAX_BYTES)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(FILE_MAX_BYTES).read_to_string(&mut text))
    };
    read.map_err(|error| CliError::usage(format!("failed to read `{shown}`: {error}")))?;
    let spec = if path.extension().is_some_and(|ext| ext == "toml") {
        let source = toml::Deserializer::parse(&text)
            .map_err(|error| CliError::usage(format!("`{shown}` is no TOML: {error}")))?;
        json::read(source, MESSAGE)
    } else {
        json::read(&mut serde_json::Deserializer::from_str(&text), MESSAGE)
    };
    spec.map_err(|error| {
        CliError::usage(format!("`{shown}` is no workload: {}", error.trim()))
            .help("the fields are those of dovetail.v1.WorkloadSpec; see deploy/examples/")
    })
}

fn resources(spec: &mut WorkloadSpec, args: &SpecArgs) -> Result<(), CliError> {
    let resources = spec.resources.get_or_insert_with(Resources::default);
    if let Some(text) = &args.cpu {
        resources.cpu_milli = parse::<CpuMilli>("--cpu", text)?.0;
    }
    if let Some(text) = &args.cpu_limit {
        resources.cpu_limit_milli = Some(parse::<CpuMilli>("--cpu-limit", text)?.0);
    }
    if let Some(text) = &args.memory {
        resources.memory_bytes = parse::<Bytes>("--memory", text)?.0;
    }
    if args.file.is_none() {
        default_to(&mut resources.cpu_milli, args.cpu.is_none(), 1000);
        default_to(
            &mut resources.memory_bytes,
            args.memory.is_none(),
            256 << 20,
        );
    }
    if let Some(level) = args.minimum_level {
        resources.minimum_level = match level {
            LevelArg::None => Level::None,
            LevelArg::Shared => Level::Shared,
            LevelArg::Isolated => Level::Isolated,
        }
        .into();
    }
    gpu(resources, args)
}

fn default_to(field: &mut u64, absent: bool, value: u64) {
    if absent {
        *field = value;
    }
}

fn gpu(resources: &mut Resources, args: &SpecArgs) -> Result<(), CliError> {
    let memory = args
        .gpu_memory
        .as_deref()
        .map(|text| parse::<Bytes>("--gpu-memory", text));
    let memory = memory.transpose()?.map(|bytes| bytes.0);
    let amount = match &args.gpus {
        Some(text) => Some(gpu_amount(text, memory)?),
        None => memory.map(|bytes| share(None, Some(bytes))),
    };
    if let Some(amount) = amount {
        resources.gpu.get_or_insert_with(GpuRequest::default).amount = Some(amount);
    }
    if !args.models.is_empty() {
        let Some(gpu) = &mut resources.gpu else {
            return Err(CliError::usage("--model needs --gpus or --gpu-memory"));
        };
        gpu.models.clone_from(&args.models);
    }
    Ok(())
}

/// Below one GPU a share, from one on whole ones.
fn gpu_amount(text: &str, memory: Option<u64>) -> Result<Amount, CliError> {
    let milli = parse::<GpuMilli>("--gpus", text)?.0;
    if milli < WHOLE_GPU.0 {
        let compute = u32::try_from(milli).unwrap_or(u32::MAX);
        return Ok(share(Some(compute), memory));
    }
    if milli % WHOLE_GPU.0 != 0 {
        return Err(CliError::usage(format!(
            "--gpus {text}: a share is below 1, and more than one GPU must be whole"
        ))
        .help("write 0.5 for half a GPU, or 2 for two"));
    }
    if memory.is_some() {
        return Err(CliError::usage(
            "--gpu-memory is for a share; whole GPUs come with all their memory",
        ));
    }
    let count = u32::try_from(milli / WHOLE_GPU.0).unwrap_or(u32::MAX);
    Ok(Amount::Whole(WholeGpus { count }))
}

fn share(compute_milli: Option<u32>, memory_bytes: Option<u64>) -> Amount {
    Amount::Share(GpuShare {
        compute_milli,
        memory_bytes,
    })
}

fn durations(spec: &mut WorkloadSpec, args: &SpecArgs) -> Result<(), CliError> {
    if let Some(text) = &args.max_runtime {
        spec.max_runtime = Some(duration("--max-runtime", text)?);
    }
    if let Some(text) = &args.stop_grace {
        spec.stop_grace = Some(duration("--stop-grace", text)?);
    }
    Ok(())
}

fn duration(flag: &str, text: &str) -> Result<prost_types::Duration, CliError> {
    let bad = || {
        CliError::usage(format!("{flag}: `{text}` is no duration")).help("write 90s, 30m or 12h")
    };
    let span: jiff::SignedDuration = text.parse().map_err(|_| bad())?;
    Ok(prost_types::Duration {
        seconds: span.as_secs(),
        nanos: span.subsec_nanos(),
    })
}

fn pairs(spec: &mut WorkloadSpec, args: &SpecArgs) -> Result<(), CliError> {
    let split = |flag: &str, text: &str| {
        let pair = text
            .split_once('=')
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        pair.ok_or_else(|| CliError::usage(format!("{flag}: `{text}` has no `=`")))
    };
    for text in &args.env {
        spec.env.extend([split("--env", text)?]);
    }
    for text in &args.labels {
        spec.labels.extend([split("--label", text)?]);
    }
    Ok(())
}

/// Which nodes it may go to, and whether it may be moved between them.
fn nodes(spec: &mut WorkloadSpec, args: &SpecArgs) -> Result<(), CliError> {
    for text in &args.node_selector {
        if let Some((key, value)) = text.split_once('=') {
            spec.node_selector.insert(key.to_owned(), value.to_owned());
        } else if let Some(key) = text.strip_suffix('-') {
            spec.node_selector.remove(key);
        } else {
            let why = format!("--node-selector: `{text}` has no `=`");
            return Err(CliError::usage(why)
                .help("write KEY=VALUE, or KEY- to drop what the file asks for"));
        }
    }
    for text in &args.tolerations {
        let toleration = toleration(text);
        if !spec.tolerations.contains(&toleration) {
            spec.tolerations.push(toleration);
        }
    }
    if let Some(restart_cost_seconds) = args.movable {
        spec.movable = Some(Movable {
            restart_cost_seconds,
        });
    }
    Ok(())
}

fn toleration(text: &str) -> Toleration {
    let (key, operator, value) = match text.split_once('=') {
        Some((key, value)) => (key, TolerationOperator::Equal, value),
        None => (text, TolerationOperator::Exists, ""),
    };
    Toleration {
        key: key.to_owned(),
        operator: operator.into(),
        value: value.to_owned(),
    }
}

fn scalars(spec: &mut WorkloadSpec, args: SpecArgs) {
    let set = |field: &mut String, value: Option<String>| {
        if let Some(value) = value {
            *field = value;
        }
    };
    set(&mut spec.name, args.name);
    set(&mut spec.queue, args.queue);
    set(&mut spec.workdir, args.workdir);
    set(&mut spec.user, args.user);
    spec.gang_size = args.gang.unwrap_or(spec.gang_size);
    spec.priority = args.priority.unwrap_or(spec.priority);
    if !args.argv.is_empty() {
        spec.argv = args.argv;
        from_here(&mut spec.argv);
    }
    if let Some(kind) = args.kind {
        spec.kind = match kind {
            Kind::Batch => WorkloadKind::Batch,
            Kind::Service => WorkloadKind::Service,
            Kind::Session => WorkloadKind::Session,
        }
        .into();
    }
    if let Some(policy) = args.restart {
        let restart = spec.restart.get_or_insert_with(Restart::default);
        restart.policy = match policy {
            RestartArg::Never => RestartPolicy::Never,
            RestartArg::OnFailure => RestartPolicy::OnFailure,
            RestartArg::Always => RestartPolicy::Always,
        }
        .into();
    }
}

/// `./train.sh` means the one in this directory; the scheduler does not know where that is.
fn from_here(argv: &mut [String]) {
    let Some(program) = argv.first_mut() else {
        return;
    };
    let relative = program.contains('/') && !program.starts_with('/');
    if let Ok(absolute) = std::path::absolute(&*program)
        && relative
        && let Some(text) = absolute.to_str()
    {
        text.clone_into(program);
    }
}

/// `train.sh` from `/opt/Train.sh`; empty if nothing of it can be a name.
fn default_name(argv: &[String]) -> String {
    let program = argv
        .first()
        .map_or("", |program| program.rsplit('/').next().unwrap_or(""));
    let lower = program.to_ascii_lowercase().replace('_', "-");
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let kept: String = lower
        .chars()
        .filter(|c| valid(*c) || *c == '-' || *c == '.')
        .collect();
    kept.trim_matches(|c| !valid(c)).to_owned()
}

fn parse<T: FromStr<Err: std::fmt::Display>>(flag: &str, text: &str) -> Result<T, CliError> {
    text.parse()
        .map_err(|error| CliError::usage(format!("{flag}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser as _;

    fn typed(line: &str) -> Result<WorkloadSpec, CliError> {
        let words = ["dovetail", "plan"].into_iter().chain(line.split(' '));
        match Cli::try_parse_from(words).unwrap().command {
            Command::Plan(args) => build(args),
            other => panic!("{other:?}"),
        }
    }

    fn amount(line: &str) -> Option<Amount> {
        typed(line)
            .unwrap()
            .resources
            .unwrap()
            .gpu
            .and_then(|gpu| gpu.amount)
    }

    #[test]
    fn gpus_below_one_are_a_share_and_from_one_on_whole() {
        assert_eq!(amount("--gpus 0.3 -- x"), Some(share(Some(300), None)));
        assert_eq!(
            amount("--gpus 30% --gpu-memory 12Gi -- x"),
            Some(share(Some(300), Some(12 << 30)))
        );
        assert_eq!(
            amount("--gpu-memory 12Gi -- x"),
            Some(share(None, Some(12 << 30)))
        );
        assert_eq!(
            amount("--gpus 2 -- x"),
            Some(Amount::Whole(WholeGpus { count: 2 }))
        );
        assert_eq!(amount("-- x"), None);
        for bad in [
            "--gpus 1.5 -- x",
            "--gpus x -- x",
            "--gpus 2 --gpu-memory 1Gi -- x",
            "--model H100 -- x",
        ] {
            assert_eq!(typed(bad).unwrap_err().exit_code, 2, "{bad}");
        }
    }

    #[test]
    fn nodes_are_chosen_by_label_and_by_what_is_tolerated() {
        let spec = typed("--node-selector a=1 --node-selector b= --toleration c --toleration d=e --toleration c --movable 90 -- x").unwrap();
        assert_eq!(spec.node_selector["a"], "1");
        assert_eq!(spec.node_selector["b"], "");
        let tolerations: Vec<_> = spec
            .tolerations
            .iter()
            .map(|t| (t.key.as_str(), t.operator(), t.value.as_str()))
            .collect();
        let expected = [
            ("c", TolerationOperator::Exists, ""),
            ("d", TolerationOperator::Equal, "e"),
        ];
        assert_eq!(tolerations, expected);
        assert_eq!(spec.movable.unwrap().restart_cost_seconds, 90);
        let dropped = typed("--node-selector a=1 --node-selector a- -- x").unwrap();
        assert!(dropped.node_selector.is_empty());
        let error = typed("--node-selector a -- x").unwrap_err();
        assert_eq!(error.exit_code, 2);
        assert_eq!(typed("-- x").unwrap().movable, None);
    }

    #[test]
    fn the_name_follows_the_program() {
        assert_eq!(typed("-- /opt/Train_it.sh").unwrap().name, "train-it.sh");
        let here = typed("-- ./bin/run.sh").unwrap();
        assert!(here.argv[0].starts_with('/') && here.argv[0].ends_with("/bin/run.sh"));
        assert_eq!(typed("-- run.sh").unwrap().argv, ["run.sh"]);
        assert_eq!(typed("--name a -- x").unwrap().name, "a");
    }

    #[test]
    fn the_examples_are_workloads() {
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(examples).unwrap() {
            let spec = from_file(&entry.unwrap().path()).unwrap();
            // What the scheduler would say is asked of the same code.
            dovetail_proto::convert::workload::spec(spec.clone()).unwrap();
            names.push(spec.name);
        }
        names.sort();
        assert_eq!(names, ["chat", "train"]);
    }

    #[test]
    fn files_use_the_names_of_the_schema_and_unknown_ones_are_errors() {
        let dir = std::env::temp_dir();
        let path = dir.join(format!("dovetail-spec-{}.toml", std::process::id()));
        let text = "name = \"a\"\nkind = \"WORKLOAD_KIND_SERVICE\"\nargv = [\"x\"]\nmax_runtime = \"90s\"\n[resources]\ncpu_milli = 500\nmemory_bytes = 1048576\n[resources.gpu]\nshare = { compute_milli = 300 }\n";
        std::fs::write(&path, text).unwrap();
        let spec = from_file(&path).unwrap();
        assert_eq!(spec.kind(), WorkloadKind::Service);
        assert_eq!(spec.max_runtime.unwrap().seconds, 90);
        std::fs::write(&path, "nam = \"a\"\n").unwrap();
        let error = from_file(&path).unwrap_err().to_string();
        assert!(error.contains("nam"), "{error}");
        std::fs::remove_file(&path).unwrap();
    }
}
