//! The supervisor of one slice: it starts the process in the leaf, keeps its output, waits, kills
//! what is left, and writes how it ended. It has one thread and outlives the agent.
//!
//! Standard input: a socket that brings the job and takes the answer. Standard output: the slice's
//! lock. Standard error: a log. A `SIGTERM` asks the slice to end, a `SIGQUIT` kills it.

mod child;
mod ending;
mod watch;

use crate::enforce::{
    record::{Ending, Identity, RecordDirectory},
    tree::{Tree, TreePlace},
};
use crate::telemetry::chain;
use child::Child;
use dovetail_model::workload::Owner;
use nix::{
    sys::{
        prctl,
        signal::{SigSet, Signal},
        stat::{Mode, umask},
    },
    unistd::{ForkResult, chdir, setsid},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
};
use watch::{Watch, Writers};

/// Longest job: a workload's arguments and environment are far below.
const JOB_MAX_BYTES: u64 = 4 << 20;

/// What a supervisor is told. It has no `Debug`: the environment may hold secrets.
#[derive(Serialize, Deserialize)]
pub(crate) struct Job {
    /// Name of the leaf.
    pub(crate) leaf: String,
    /// Name of the group that supervisors live in.
    pub(crate) supervisors: String,
    pub(crate) tree: TreePlace,
    pub(crate) record: RecordDirectory,
    pub(crate) argv: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) workdir: String,
    pub(crate) owner: Owner,
    pub(crate) max_runtime_ns: Option<u64>,
    pub(crate) stop_signal: i32,
    pub(crate) stop_grace_ns: u64,
    pub(crate) output_max_bytes: u64,
}

/// What a supervisor answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The process runs, or the record says why it does not.
    Ready,
    /// Nothing was started, and there is no record.
    Refused(String),
}

/// Runs as a supervisor; the job comes on standard input. This must be called before the program
/// has a second thread.
pub fn main_from_stdin() -> ExitCode {
    // The agent is nobody's parent: the supervisor belongs to init, and its end needs no reaping.
    match child::fork() {
        Ok(ForkResult::Parent { .. }) => ExitCode::SUCCESS,
        Ok(ForkResult::Child) => report(supervise()),
        Err(errno) => report(Err(io::Error::from(errno))),
    }
}

fn report(outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&format!("supervisor failed: {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// A line in the supervisor's log. A log on a full disk is no reason to end a workload.
fn log(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}

fn supervise() -> io::Result<()> {
    detach()?;
    let mut lock = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut identity = Identity::current()?;
    identity.write(&mut lock)?;
    let mut agent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let prepared = read_job(&mut agent).and_then(prepare);
    let Prepared { job, tree, writers } = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            answer(agent, &Reply::Refused(chain(&error)));
            return Err(error);
        }
    };
    let spawned = child::spawn(&job, tree.as_deref());
    if let Ok(child) = &spawned {
        identity.child = Some(child.process);
    }
    // What cannot be told now is found by a scan later.
    if let Err(error) = identity.write(&mut lock) {
        log(&format!("failed to write the lock: {error}"));
    }
    let ended = match spawned {
        Ok(child) => {
            answer(agent, &Reply::Ready);
            watch(&job, tree.as_deref(), child, writers)?
        }
        Err(failure) => {
            log(&failure.to_string());
            let ended = ending::not_started(&failure);
            ending::write(&job.record, &ended)?;
            answer(agent, &Reply::Ready);
            return Ok(());
        }
    };
    ending::write(&job.record, &ended)
}

/// Nothing runs unwatched: if the supervisor cannot go on, its slice ends with it.
fn watch(job: &Job, tree: Option<&dyn Tree>, child: Child, writers: Writers) -> io::Result<Ending> {
    let main = child.process;
    let watched = Watch::new(job, tree, child, writers).and_then(Watch::run);
    if watched.is_err() {
        let killed = match tree {
            Some(tree) => tree.kill_once(&job.leaf).map_err(io::Error::other),
            None => main.signal(rustix::process::Signal::KILL).map(drop),
        };
        if let Err(error) = killed {
            log(&format!("failed to kill the slice: {}", chain(&error)));
        }
    }
    watched
}

/// Out of the agent's session and reach, with the signals blocked that are read from a descriptor.
fn detach() -> io::Result<()> {
    let mut blocked = signals();
    blocked.add(Signal::SIGINT);
    blocked.add(Signal::SIGHUP);
    blocked.thread_block()?;
    setsid()?;
    umask(Mode::from_bits_truncate(0o077));
    chdir("/")?;
    // Whoever loses its parent in the slice becomes a child of the supervisor: it is reaped at
    // once, and without a cgroup this is how it is found.
    prctl::set_child_subreaper(true)?;
    Ok(())
}

/// The signals that are read from a descriptor.
fn signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGCHLD]
        .into_iter()
        .collect()
}

fn read_job(agent: &mut UnixStream) -> io::Result<Job> {
    let mut json = Vec::new();
    agent.take(JOB_MAX_BYTES).read_to_end(&mut json)?;
    serde_json::from_slice(&json).map_err(io::Error::other)
}

/// Everything that must be there before there is a process.
struct Prepared {
    job: Job,
    tree: Option<Box<dyn Tree>>,
    writers: Writers,
}

/// Leaves the agent's cgroup, so that the agent's unit can be stopped without it, and makes room
/// for the output and the exit record.
fn prepare(job: Job) -> io::Result<Prepared> {
    let tree = job.tree.open().map_err(io::Error::other)?;
    for entrance in tree
        .iter()
        .flat_map(|tree| tree.entrances(&job.supervisors))
    {
        if let Err(error) = fs::write(&entrance, "0") {
            log(&format!(
                "failed to move to `{}`: {error}",
                entrance.display()
            ));
        }
    }
    job.record.reserve_exit().map_err(io::Error::other)?;
    let writers = Writers::create(&job)?;
    Ok(Prepared { job, tree, writers })
}

/// The agent may be gone by now: it will find the slice when it is back.
fn answer(mut agent: UnixStream, reply: &Reply) {
    let line = serde_json::to_string(reply).expect("a reply is plain data");
    if let Err(error) = writeln!(agent, "{line}") {
        log(&format!("failed to answer the agent: {error}"));
    }
}
