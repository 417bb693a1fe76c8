//! The supervisor's loop: signals, output, deadlines, the end.

use super::{
    Job,
    child::Child,
    ending::{Status, StopReason, Tails, cause},
    log,
};
use crate::enforce::{
    output::{OutputWriter, Stream},
    process::Family,
    record::Ending,
    tree::{Tree, Usage, signal_each},
};
use crate::{clock, telemetry::chain};
use dovetail_model::{report::ExitRecord, time::Now};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signalfd::{SfdFlags, SignalFd},
};
use rustix::process::{Signal, WaitOptions, wait};
use std::{
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread,
    time::Duration,
};

/// Most output read in one go, so that signals and deadlines are never far.
const READ_BYTES: usize = 64 << 10;
/// Rounds of killing at the end, and the pause between two: about ten seconds. What cannot die by
/// then is the agent's to remove.
const KILL_ROUNDS: u32 = 2000;
const KILL_PAUSE: Duration = Duration::from_millis(5);
/// Between two kills of what should long be dead.
const KILL_AGAIN_NS: u64 = 1_000_000_000;
/// Most that pipes of a dead slice can still hold.
const LAST_READS: u32 = 64;

/// A running slice.
pub(super) struct Watch<'a> {
    job: &'a Job,
    tree: Option<&'a dyn Tree>,
    main: i32,
    status: Option<Status>,
    signals: SignalFd,
    oom: Option<OwnedFd>,
    outputs: Vec<Output>,
    tails: Tails,
    started: Now,
    stopped: Option<StopReason>,
    kill_at: Option<u64>,
    look_for_oom_at: Option<u64>,
}

/// One of the slice's outputs, until its end.
struct Output {
    stream: Stream,
    pipe: Box<dyn Pipe>,
    writer: OutputWriter,
    lost: bool,
}

/// Where the outputs go: made before there is a process, so that a full disk is found in time.
pub(super) struct Writers {
    stdout: OutputWriter,
    stderr: OutputWriter,
}

trait Pipe: Read + AsFd {}
impl<T: Read + AsFd> Pipe for T {}

impl<'a> Watch<'a> {
    pub(super) fn new(
        job: &'a Job,
        tree: Option<&'a dyn Tree>,
        child: Child,
        writers: Writers,
    ) -> io::Result<Self> {
        let signals = super::signals();
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let Writers { stdout, stderr } = writers;
        let outputs = vec![
            Output::new(Stream::Stdout, Box::new(child.stdout), stdout)?,
            Output::new(Stream::Stderr, Box::new(child.stderr), stderr)?,
        ];
        Ok(Self {
            job,
            tree,
            main: child.process.pid,
            status: None,
            signals: SignalFd::with_flags(&signals, flags)?,
            oom: oom_event(job, tree),
            outputs,
            tails: Tails::default(),
            started: clock::now(),
            stopped: None,
            kill_at: None,
            look_for_oom_at: None,
        })
    }

    /// Waits for the end and brings everything about it together.
    pub(super) fn run(mut self) -> io::Result<Ending> {
        let status = loop {
            // A child may have ended before its signal could be read.
            self.reap()?;
            if let Some(status) = self.status {
                break status;
            }
            self.wait()?;
            self.take_signals()?;
            self.read_outputs();
            self.take_oom();
            self.keep_deadlines();
        };
        let elapsed_ns = clock::now().boot_ns.saturating_sub(self.started.boot_ns);
        self.kill_rest()?;
        for _ in 0..LAST_READS {
            if !self.read_outputs() {
                break;
            }
        }
        Ok(Ending {
            record: self.record(status),
            usage: self.usage(),
            elapsed_ns,
        })
    }

    fn record(&self, status: Status) -> ExitRecord {
        let oom_kills = self
            .tree
            .map_or(Ok(0), |tree| tree.oom_kills(&self.job.leaf));
        let oom_kills = oom_kills.unwrap_or_else(|error| {
            log(&chain(&error));
            0
        });
        ExitRecord {
            cause: cause(status, self.stopped, oom_kills),
            started_at: Some(self.started.wall()),
            ended_at: clock::now().wall(),
            output_tail: self.tails.text(),
        }
    }

    /// Without a cgroup: what this process has reaped, which is everyone.
    fn usage(&self) -> Usage {
        let used = match self.tree {
            Some(tree) => tree.usage(&self.job.leaf).map_err(io::Error::other),
            None => crate::enforce::process::reaped_cpu_ns(std::process::id().cast_signed()).map(
                |cpu_ns| Usage {
                    cpu_ns,
                    memory_bytes: 0,
                },
            ),
        };
        used.unwrap_or_else(|error| {
            log(&chain(&error));
            Usage::default()
        })
    }

    fn wait(&self) -> io::Result<()> {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            self.oom
                .iter()
                .map(|oom| PollFd::new(oom.as_fd(), PollFlags::POLLIN)),
        );
        let pipes = self.outputs.iter().map(Output::as_fd);
        fds.extend(pipes.map(|pipe| PollFd::new(pipe, PollFlags::POLLIN)));
        match poll(&mut fds, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn timeout(&self) -> PollTimeout {
        let deadlines = [self.run_until(), self.kill_at, self.look_for_oom_at];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            return PollTimeout::NONE;
        };
        let left_ms = next
            .saturating_sub(clock::now().boot_ns)
            .div_ceil(1_000_000);
        PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX)
    }

    /// When it has run long enough; nothing once it has been asked to end.
    fn run_until(&self) -> Option<u64> {
        let most = self.job.max_runtime_ns.filter(|_| self.stopped.is_none())?;
        Some(self.started.boot_ns.saturating_add(most))
    }

    /// All of them, before children are reaped: who asks first is the cause.
    fn take_signals(&mut self) -> io::Result<()> {
        while let Some(info) = self.signals.read_signal()? {
            match i32::try_from(info.ssi_signo) {
                Ok(libc::SIGTERM) => self.stop(StopReason::Asked),
                Ok(libc::SIGQUIT) => {
                    self.stopped.get_or_insert(StopReason::Asked);
                    self.kill();
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn take_oom(&mut self) {
        let Some(oom) = &self.oom else {
            return;
        };
        let mut count = [0; 8];
        if rustix::io::read(oom, &mut count).is_ok() {
            self.look_for_oom_at = Some(clock::now().boot_ns.saturating_add(OOM_LOOK_NS));
            self.kill_if_oom();
        }
    }

    /// The kernel kills one process; half a slice is worth nothing.
    fn kill_if_oom(&mut self) {
        let kills = self
            .tree
            .map_or(Ok(0), |tree| tree.oom_kills(&self.job.leaf));
        match kills {
            Ok(0) => {}
            Ok(_) => self.kill(),
            Err(error) => log(&chain(&error)),
        }
    }

    fn keep_deadlines(&mut self) {
        let now = clock::now().boot_ns;
        if self.run_until().is_some_and(|end| end <= now) {
            self.stop(StopReason::Timeout);
        }
        if self.look_for_oom_at.is_some_and(|at| at <= now) {
            self.look_for_oom_at = None;
            self.kill_if_oom();
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill();
        }
    }

    /// Asks everyone to end; whoever has not by the end of the grace is killed.
    fn stop(&mut self, reason: StopReason) {
        if self.stopped.is_some() {
            return;
        }
        self.stopped = Some(reason);
        self.kill_at = Some(clock::now().boot_ns.saturating_add(self.job.stop_grace_ns));
        let Some(signal) = Signal::from_named_raw(self.job.stop_signal) else {
            return self.kill();
        };
        let asked = match self.tree {
            Some(tree) => tree
                .freeze(&self.job.leaf, false)
                .and_then(|()| tree.pids(&self.job.leaf))
                .map(|pids| signal_each(&pids, signal))
                .map_err(io::Error::other),
            None => self.family().map(|family| family.signal(signal)),
        };
        if let Err(error) = asked {
            log(&format!(
                "failed to ask the slice to end: {}",
                chain(&error)
            ));
            self.kill();
        }
    }

    fn kill(&mut self) {
        self.kill_at = Some(clock::now().boot_ns.saturating_add(KILL_AGAIN_NS));
        if let Err(error) = self.kill_once() {
            log(&format!("failed to kill the slice: {}", chain(&error)));
        }
    }

    fn kill_once(&self) -> io::Result<()> {
        match self.tree {
            Some(tree) => tree.kill_once(&self.job.leaf).map_err(io::Error::other),
            None => {
                self.family()?.signal(Signal::KILL);
                Ok(())
            }
        }
    }

    fn family(&self) -> io::Result<Family> {
        Family::below(std::process::id().cast_signed())
    }

    /// Whoever is left when the first process has ended.
    fn kill_rest(&mut self) -> io::Result<()> {
        for _ in 0..KILL_ROUNDS {
            self.reap()?;
            let gone = match self.tree {
                Some(tree) => tree
                    .pids(&self.job.leaf)
                    .map_err(io::Error::other)?
                    .is_empty(),
                None => self.family()?.is_empty(),
            };
            if gone {
                return self.reap();
            }
            self.kill_once()?;
            // A full pipe would keep nobody alive, but its bytes are wanted.
            self.read_outputs();
            thread::sleep(KILL_PAUSE);
        }
        log("processes of the slice did not die");
        Ok(())
    }

    /// Takes the end of every child: the first process, and those that lost their parents.
    fn reap(&mut self) -> io::Result<()> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, ended))) if pid.as_raw_pid() == self.main => {
                    self.status = match (ended.exit_status(), ended.terminating_signal()) {
                        (Some(code), _) => Some(Status::Code(code)),
                        (_, Some(signal)) => Some(Status::Signal(signal)),
                        _ => self.status,
                    };
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Reads what is there; whether there was anything.
    fn read_outputs(&mut self) -> bool {
        let mut any = false;
        let tails = &mut self.tails;
        self.outputs.retain_mut(|output| match output.take() {
            Ok(bytes) if bytes.is_empty() => false,
            Ok(bytes) => {
                tails.push(output.stream, &bytes);
                any = true;
                true
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        });
        any
    }
}

/// The kernel announces that a slice is out of memory before it kills: when to look for the kill.
const OOM_LOOK_NS: u64 = 100_000_000;

fn oom_event(job: &Job, tree: Option<&dyn Tree>) -> Option<OwnedFd> {
    match tree.map_or(Ok(None), |tree| tree.oom_event(&job.leaf)) {
        Ok(event) => event,
        Err(error) => {
            log(&format!(
                "{}: a slice out of memory is killed when its first process ends",
                chain(&error)
            ));
            None
        }
    }
}

impl Writers {
    pub(super) fn create(job: &Job) -> io::Result<Self> {
        let create = |stream| OutputWriter::create(job.record.path(), stream, job.output_max_bytes);
        Ok(Self {
            stdout: create(Stream::Stdout)?,
            stderr: create(Stream::Stderr)?,
        })
    }
}

impl Output {
    fn new(stream: Stream, pipe: Box<dyn Pipe>, writer: OutputWriter) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self {
            stream,
            pipe,
            writer,
            lost: false,
        })
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// One read; what the disk does not take is lost, and said once.
    fn take(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; READ_BYTES];
        let count = self.pipe.read(&mut bytes)?;
        bytes.truncate(count);
        if let Err(error) = self.writer.write(&bytes)
            && !self.lost
        {
            self.lost = true;
            log(&format!("{} is lost: {error}", self.stream));
        }
        Ok(bytes)
    }
}
