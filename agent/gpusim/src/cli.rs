//! Commands of `dovetail-gpusim`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use nvidia_ml::{
    Bytes, CreateOptions, DeviceNodes, Gpu, Host, HostFile, Process, ProcessKind, Setting,
    library_beside_executable,
};

/// Makes simulated NVIDIA GPU hosts, and changes what they report while programs read them.
///
/// A host is one directory. Point a program at its libnvidia-ml.so.1 (or set LD_LIBRARY_PATH to the
/// directory), and at its proc/ for CPUs and memory.
#[derive(Debug, Parser)]
#[command(name = "dovetail-gpusim", version, after_help = EXAMPLES)]
pub(crate) struct Command {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "\
Examples:
  dovetail-gpusim create --file host.toml --dir /tmp/host-a
  dovetail-gpusim set --dir /tmp/host-a --gpu 0 utilization=80 power=450
  dovetail-gpusim set --dir /tmp/host-a --gpu 1 lost=true
  dovetail-gpusim process add --dir /tmp/host-a --gpu 0 --pid 4242 --memory 4Gi
  dovetail-gpusim show --dir /tmp/host-a

A host file:
  name = \"host-a\"
  cpus = 128
  memory = \"2Ti\"
  [[gpu]]
  model = \"H100-80\"
  count = 8";

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the directory of a simulated host
    Create(CreateArguments),
    /// Change what a GPU reports, as key=value; an unknown key lists them all
    Set(SetArguments),
    /// Add or remove a process on a GPU
    #[command(subcommand)]
    Process(ProcessAction),
    /// Show the GPUs of a host
    Show(HostArguments),
}

#[derive(Debug, Args)]
struct HostArguments {
    /// Directory of the simulated host
    #[arg(long)]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct GpuArguments {
    #[command(flatten)]
    host: HostArguments,
    /// Index of the GPU
    #[arg(long)]
    gpu: usize,
}

#[derive(Debug, Args)]
struct CreateArguments {
    /// Host file
    #[arg(long)]
    file: PathBuf,
    #[command(flatten)]
    host: HostArguments,
    /// Device minor of GPU 0; hosts on one machine need disjoint ranges
    #[arg(long, default_value_t = 0)]
    first_minor: u32,
    /// Built library [default: libnvidia_ml.so beside this program]
    #[arg(long)]
    library: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct SetArguments {
    #[command(flatten)]
    gpu: GpuArguments,
    /// Changes, such as utilization=80 or lost=true
    #[arg(required = true, value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
}

#[derive(Debug, Subcommand)]
enum ProcessAction {
    /// Add a process, or replace its entry; it is listed for as long as it lives
    Add(AddArguments),
    /// Remove a process
    Remove(RemoveArguments),
}

#[derive(Debug, Args)]
struct AddArguments {
    #[command(flatten)]
    gpu: GpuArguments,
    /// Process id
    #[arg(long)]
    pid: u32,
    /// Device memory it holds, such as 4Gi
    #[arg(long)]
    memory: Bytes,
    /// Share of the multiprocessors, in percent
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100))]
    utilization: u32,
    /// List in which it appears
    #[arg(long, value_enum, default_value_t = KindArgument::Compute)]
    kind: KindArgument,
    /// Keep the entry even if no such process lives
    #[arg(long)]
    ghost: bool,
}

#[derive(Debug, Args)]
struct RemoveArguments {
    #[command(flatten)]
    gpu: GpuArguments,
    /// Process id
    #[arg(long)]
    pid: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArgument {
    Compute,
    Graphics,
    Mps,
}

impl From<KindArgument> for ProcessKind {
    fn from(kind: KindArgument) -> Self {
        match kind {
            KindArgument::Compute => Self::Compute,
            KindArgument::Graphics => Self::Graphics,
            KindArgument::Mps => Self::Mps,
        }
    }
}

/// Runs one command.
pub(crate) fn run(command: Command, output: &mut impl Write) -> anyhow::Result<()> {
    match command.action {
        Action::Create(arguments) => create(&arguments, output),
        Action::Set(arguments) => set(&arguments),
        Action::Process(ProcessAction::Add(arguments)) => add_process(&arguments),
        Action::Process(ProcessAction::Remove(arguments)) => remove_process(&arguments),
        Action::Show(arguments) => show(&open(&arguments.dir)?, output),
    }
}

/// Prints an error with its causes and says which exit code it is worth. A closed pipe is the
/// reader's choice, not an error.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    let closed = error.downcast_ref::<io::Error>().map(io::Error::kind);
    if closed == Some(io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    // With stderr closed as well there is nobody left to tell.
    writeln!(io::stderr(), "error: {error:#}").ok();
    ExitCode::FAILURE
}

fn create(arguments: &CreateArguments, output: &mut impl Write) -> anyhow::Result<()> {
    let file = HostFile::read(&arguments.file)?;
    let library = match &arguments.library {
        Some(library) => library.clone(),
        None => library_beside_executable().context("failed to find this program")?,
    };
    let options = CreateOptions {
        library,
        first_minor: arguments.first_minor,
    };
    let (host, nodes) = Host::create(&arguments.host.dir, &file, &options)?;
    writeln!(output, "host     {}", host.name())?;
    writeln!(output, "library  {}", host.library().display())?;
    writeln!(output, "proc     {}", host.proc_root().display())?;
    match nodes {
        DeviceNodes::Made => writeln!(output, "devices  {}", host.device_root().display())?,
        DeviceNodes::Skipped { reason } => writeln!(output, "devices  skipped: {reason}")?,
    }
    writeln!(output)?;
    show(&host, output)
}

fn set(arguments: &SetArguments) -> anyhow::Result<()> {
    let host = open(&arguments.gpu.host.dir)?;
    let gpu = host.gpu(arguments.gpu.gpu)?;
    for setting in &arguments.settings {
        gpu.set(*setting)?;
    }
    Ok(())
}

fn add_process(arguments: &AddArguments) -> anyhow::Result<()> {
    let host = open(&arguments.gpu.host.dir)?;
    let process = Process {
        pid: arguments.pid,
        memory: arguments.memory,
        utilization: arguments.utilization,
        kind: arguments.kind.into(),
        ghost: arguments.ghost,
    };
    Ok(host.gpu(arguments.gpu.gpu)?.add_process(&process)?)
}

fn remove_process(arguments: &RemoveArguments) -> anyhow::Result<()> {
    let host = open(&arguments.gpu.host.dir)?;
    let gpu = arguments.gpu.gpu;
    let removed = host.gpu(gpu)?.remove_process(arguments.pid)?;
    anyhow::ensure!(
        removed,
        "process {} is not listed on GPU {gpu}",
        arguments.pid
    );
    Ok(())
}

fn open(directory: &Path) -> anyhow::Result<Host> {
    Ok(Host::open(directory)?)
}

fn show(host: &Host, output: &mut impl Write) -> anyhow::Result<()> {
    let (name, cpus, driver) = (host.name(), host.cpus(), host.driver_version());
    writeln!(
        output,
        "{name}: {cpus} CPUs, {} GPUs, driver {driver}",
        host.gpu_count()
    )?;
    for index in 0..host.gpu_count() {
        show_gpu(index, &host.gpu(index)?, output)?;
    }
    Ok(())
}

fn show_gpu(index: usize, gpu: &Gpu<'_>, output: &mut impl Write) -> anyhow::Result<()> {
    let record = gpu.read()?;
    let mebibytes = |bytes: u64| bytes >> 20;
    writeln!(
        output,
        "{index:>3}  {}  {}  nvidia{}  {}/{} MiB  {} %  {} W  {} C{}",
        record.name,
        record.uuid,
        record.minor,
        mebibytes(record.memory_used().0),
        mebibytes(record.memory_total_bytes),
        record.utilization,
        record.power_mw / 1_000,
        record.temperature_c,
        condition(record.fault, record.hang_ms),
    )?;
    for process in record.processes.live() {
        let memory = mebibytes(process.memory_bytes);
        writeln!(
            output,
            "     process {}  {memory} MiB  {} %",
            process.pid, process.utilization
        )?;
    }
    Ok(())
}

fn condition(fault: u64, hang_ms: u64) -> String {
    let fault = match fault {
        0 => String::new(),
        15 => "  LOST".to_owned(),
        status => format!("  FAULT {status}"),
    };
    if hang_ms == 0 {
        fault
    } else {
        format!("{fault}  HANGS {hang_ms} ms")
    }
}
