//! What can be typed. The texts here are `--help`: they teach.

use clap::{Args, Parser, Subcommand, ValueEnum};
use dovetail_replay::ReplayArgs;
use std::{path::PathBuf, time::Duration};

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  failure
  2  wrong usage
  3  accepted, or possible, but not placed now
  4  no such workload or node
  5  denied by a quota or a full queue
  6  not allowed
  7  the scheduler cannot be reached
  8  it took longer than --timeout";

const EXAMPLES: &str = "\
Examples:
  dovetail submit --name hello --cpu 1 --memory 256Mi -- /bin/echo hello
  dovetail submit --name chat --kind service --gpus 0.3 --model H100 -- /usr/bin/serve
  dovetail submit --name train --gpus 8 --gang 2 --cpu 32 --memory 256Gi -- ./train.sh
  dovetail submit workload.toml
  dovetail ps
  dovetail explain train

";

/// A replay asks no scheduler.
const REPLAY_EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  failure
  2  wrong usage";

const REPLAY_EXAMPLES: &str = "\
Examples, one pod at a time:
  dovetail replay --nodes nodes.csv --pods pods.csv
  dovetail replay --nodes nodes.csv --pods pods.csv --policy all -o html > report.html
  dovetail replay --nodes nodes.csv --pods pods.csv -o json | jq '.allocated_gpu_percent[\"100\"]'
Examples, published orders of arrival and ranks of nodes:
  dovetail replay --nodes nodes.csv --pods pods.csv --arrivals order.u16 --node-rank rank.u16 \\
    --seed 43 --policy dovetail,fgd
Examples, work that waits, and work that ends:
  dovetail replay --nodes nodes.csv --pods pods.csv --mode backlog --scale 8
  dovetail replay --nodes nodes.csv --pods pods.csv --mode churn --load 0.95 --moves-per-100 1

";

/// Share GPUs and pack work onto hosts.
#[derive(Debug, Parser)]
#[command(name = "dovetail", version, after_help = format!("{EXAMPLES}{EXIT_STATUS}"))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Unix socket of the scheduler
    #[arg(
        long,
        global = true,
        env = "DOVETAIL_SOCKET",
        value_name = "PATH",
        default_value = "/run/dovetail/scheduler.sock"
    )]
    pub(crate) socket: PathBuf,
    /// How to print: table for people, json, the RPC's reply, for programs; replay also has html
    #[arg(
        short,
        long,
        global = true,
        env = "DOVETAIL_OUTPUT",
        value_name = "FORMAT",
        default_value = "table",
        hide_possible_values = true
    )]
    pub(crate) output: Format,
    /// Give up after this many seconds, also on --wait [default: 10 a call, no end to --wait]
    #[arg(long, global = true, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
}

/// How long a call may take if nothing was said, in seconds.
const CALL_TIMEOUT_S: u64 = 10;

impl Global {
    /// How long one call may take.
    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.unwrap_or(CALL_TIMEOUT_S))
    }

    /// How long a state is waited for; none: for ever.
    pub(crate) fn wait_timeout(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs)
    }
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    Table,
    /// The RPC's reply as canonical protobuf JSON.
    Json,
    /// One page that needs nothing else; only a replay has so much to show.
    Html,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Submit a workload from a file or from flags
    #[command(after_help = EXIT_STATUS)]
    Submit(SubmitArgs),
    /// List workloads, with the reason why one waits
    Ps(PsArgs),
    /// Show one workload in full
    Get(IdArgs),
    /// Say why a workload waits: per node and per GPU, and what would help
    Explain(IdArgs),
    /// Say where a workload would go now, without submitting it
    #[command(after_help = EXIT_STATUS)]
    Plan(SpecArgs),
    /// Stop a workload
    Cancel(CancelArgs),
    /// Print a workload's output
    Logs(LogsArgs),
    /// Look at nodes, and take them out of and into service
    Node {
        #[command(subcommand)]
        command: NodeCommand,
    },
    /// Show the scheduler's counters and the hash of its state
    Status(StatusArgs),
    /// Replay a trace of nodes and workloads against placement policies, side by side
    #[command(after_help = format!("{REPLAY_EXAMPLES}{REPLAY_EXIT_STATUS}"))]
    Replay(ReplayArgs),
    /// Start a scheduler and simulated hosts on this machine and show what they do
    Demo(DemoArgs),
}

/// A workload, by file or by flags. Flags win over the file.
#[derive(Debug, Args)]
pub(crate) struct SpecArgs {
    /// TOML or JSON file with the fields of dovetail.v1.WorkloadSpec; `-` reads JSON from stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Name, unique among your live work [default: the program's]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// batch ends by itself, service does not, session is for a person [default: batch]
    #[arg(long, hide_possible_values = true)]
    pub(crate) kind: Option<Kind>,
    /// CPU of each member: 2, 0.5 or 500m [default: 1]
    #[arg(long)]
    pub(crate) cpu: Option<String>,
    /// Most CPU a member may use [default: equal to --cpu]
    #[arg(long, value_name = "CPU")]
    pub(crate) cpu_limit: Option<String>,
    /// Memory of each member: 512Mi, 16Gi [default: 256Mi]
    #[arg(long)]
    pub(crate) memory: Option<String>,
    /// GPUs of each member: 2 whole ones; 0.3, 300m or 30% of one
    #[arg(long)]
    pub(crate) gpus: Option<String>,
    /// GPU memory of a share: 12Gi [default: in proportion to --gpus]
    #[arg(long, value_name = "SIZE")]
    pub(crate) gpu_memory: Option<String>,
    /// GPU model that will do: H100, A100-40; repeatable [default: all]
    #[arg(long = "model", value_name = "MODEL")]
    pub(crate) models: Vec<String>,
    /// Weakest enforcement to accept: none, shared or isolated [default: shared]
    #[arg(long, value_name = "LEVEL", hide_possible_values = true)]
    pub(crate) minimum_level: Option<LevelArg>,
    /// Identical members, placed together or not at all [default: 1]
    #[arg(long, value_name = "MEMBERS")]
    pub(crate) gang: Option<u32>,
    /// Higher goes first, -1000 to 1000 [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// Queue [default: default]
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Environment variable; may be repeated
    #[arg(long = "env", short, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Label for people; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// Label its nodes must have; repeatable. KEY- drops the file's
    #[arg(long = "node-selector", value_name = "KEY=VALUE")]
    pub(crate) node_selector: Vec<String>,
    /// Taint of nodes that it bears; repeatable. KEY: any value
    #[arg(long = "toleration", value_name = "KEY[=VALUE]")]
    pub(crate) tolerations: Vec<String>,
    /// It may be moved, losing so many seconds of work per GPU
    #[arg(long, value_name = "SECONDS")]
    pub(crate) movable: Option<u32>,
    /// Working directory [default: /]
    #[arg(long)]
    pub(crate) workdir: Option<String>,
    /// User to run as; only operators may name another [default: you]
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// End it after this long: 90s, 30m, 12h
    #[arg(long, value_name = "DURATION")]
    pub(crate) max_runtime: Option<String>,
    /// Kill it this long after its stop signal [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) stop_grace: Option<String>,
    /// Try again: never, on-failure or always [default: never]
    #[arg(long, hide_possible_values = true)]
    pub(crate) restart: Option<RestartArg>,
    /// Program and its arguments, after `--`; no shell
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) argv: Vec<String>,
}

/// Options of `submit`.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    /// Repeating a submit with the same id changes nothing [default: a fresh one]
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// Only check, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Fail if the revision is another than `dovetail plan` printed
    #[arg(long, value_name = "N")]
    pub(crate) at_revision: Option<u64>,
    /// Return when it is accepted, placed or not
    #[arg(long, conflicts_with = "wait")]
    pub(crate) no_wait: bool,
    /// Return when it has ended: 0 succeeded, 1 failed
    #[arg(long)]
    pub(crate) wait: bool,
}

/// Kinds of work.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    Batch,
    Service,
    Session,
}

/// Levels a request can name.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LevelArg {
    None,
    Shared,
    Isolated,
}

/// Restart policies.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RestartArg {
    Never,
    OnFailure,
    Always,
}

/// Options of `ps`.
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Also workloads that have ended
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only this queue
    #[arg(short, long)]
    pub(crate) queue: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
}

/// One workload.
#[derive(Debug, Args)]
pub(crate) struct IdArgs {
    /// Id, such as w12, or the name of a workload of yours
    pub(crate) id: String,
}

/// Options of `cancel`.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// Id, such as w12, or the name of a workload of yours
    pub(crate) id: String,
    /// Return when nothing of it is left on any node
    #[arg(long)]
    pub(crate) wait: bool,
}

/// Options of `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Id, such as w12, or the name of a workload of yours
    pub(crate) id: String,
    /// Keep printing until it ends
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Member of a gang, from 0
    #[arg(short, long, default_value_t = 0)]
    pub(crate) member: u32,
    /// Only the last bytes: 4Ki
    #[arg(long)]
    pub(crate) tail: Option<String>,
}

/// Verbs of `node`.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// List nodes with what is free on them
    List,
    /// Show one node in full
    Get {
        /// Node name
        name: String,
    },
    /// Draw which slice lies on which GPU
    Map {
        /// Only these nodes
        names: Vec<String>,
    },
    /// Place nothing new on a node; what runs there goes on
    Cordon {
        /// Node name
        name: String,
        /// Why, for people
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Undo cordon
    Uncordon {
        /// Node name
        name: String,
    },
    /// Give up a node that will not come back: its slices are lost
    Forget {
        /// Node name
        name: String,
    },
}

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Recompute the state from the journal and compare
    #[arg(long)]
    pub(crate) verify: bool,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leave everything running at the end, and say how to talk to it
    #[arg(long)]
    pub(crate) keep: bool,
    /// Directory for sockets, journals and simulated hosts [default: a fresh one under /tmp]
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}
