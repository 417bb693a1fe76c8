//! The solver as a child process: killed when it overruns, started anew when it dies.
//!
//! One frame a message, each way: its length as four bytes, little-endian, then JSON.

use crate::Session;
use dovetail_core::{
    outcome::{Outcome, SolveFailure},
    problem::Problem,
};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::Signal,
    },
};
use std::{
    io::{self, Read, Write},
    os::fd::{AsFd as _, BorrowedFd},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};
use thiserror::Error;

/// Largest message: a problem of 600 integers is below 200 KB.
const FRAME_MAX_BYTES: u32 = 8 << 20;

/// Deciding what comes next goes before packing better what waits.
const NICE: i32 = 5;

/// Why a message could not be passed.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The pipe broke.
    #[error("failed to pass a message to or from the solver")]
    Pipe(#[source] io::Error),
    /// It is too large.
    #[error("a message of {0} bytes is too large")]
    TooLarge(u32),
    /// It is no JSON of the expected kind.
    #[error("failed to read a message")]
    Malformed(#[source] serde_json::Error),
    /// There was no answer in time.
    #[error("no answer in time")]
    Late,
    /// It answers something else.
    #[error("problem {asked} was asked and {answered} answered")]
    Stray {
        /// The problem that was handed over.
        asked: u64,
        /// The problem that the answer is for.
        answered: u64,
    },
}

/// The child's side: answers problems until its parent closes the pipe.
pub fn serve(mut input: impl Read, mut output: impl Write) -> Result<(), FrameError> {
    let mut session = Session::default();
    while let Some(bytes) = read_frame(&mut input)? {
        let problem: Problem = serde_json::from_slice(&bytes).map_err(FrameError::Malformed)?;
        let outcome = session.solve(&problem);
        write_frame(
            &mut output,
            &serde_json::to_vec(&outcome).map_err(FrameError::Malformed)?,
        )?;
    }
    Ok(())
}

/// Binds this process to its parent's life and to a share of memory, and lets everybody else go
/// first on a CPU. Called by the child before anything else.
pub fn confine(memory_bytes: u64) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    setrlimit(Resource::RLIMIT_AS, memory_bytes, memory_bytes)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    rustix::process::nice(NICE)?;
    Ok(())
}

fn read_frame(input: &mut impl Read) -> Result<Option<Vec<u8>>, FrameError> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(FrameError::Pipe(error)),
    }
    let length = u32::from_le_bytes(length);
    if length > FRAME_MAX_BYTES {
        return Err(FrameError::TooLarge(length));
    }
    let mut bytes = vec![0; length as usize];
    input.read_exact(&mut bytes).map_err(FrameError::Pipe)?;
    Ok(Some(bytes))
}

fn write_frame(mut output: impl Write, bytes: &[u8]) -> Result<(), FrameError> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if length > FRAME_MAX_BYTES {
        return Err(FrameError::TooLarge(length));
    }
    let all = [&length.to_le_bytes(), bytes].concat();
    output
        .write_all(&all)
        .and_then(|()| output.flush())
        .map_err(late_or_pipe)
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Problems handed over.
    pub runs: u64,
    /// Processes killed for overrunning.
    pub kills: u64,
    /// Processes that died or answered nonsense.
    pub failures: u64,
}

/// The parent's side. Blocks its caller up to a problem's hard limit.
#[derive(Debug)]
pub struct Solver {
    command: Vec<String>,
    child: Option<Running>,
    counters: Counters,
}

#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Solver {
    /// A solver whose child is started by this command when it is needed.
    pub fn new(command: Vec<String>) -> Self {
        let counters = Counters::default();
        Self {
            command,
            child: None,
            counters,
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The child's answer, or why there is none.
    pub fn solve(&mut self, problem: &Problem) -> Result<Outcome, SolveFailure> {
        self.counters.runs += 1;
        match self.ask(problem) {
            Ok(outcome) => Ok(outcome),
            Err(FrameError::Late) => {
                self.end();
                self.counters.kills += 1;
                Err(SolveFailure::Killed)
            }
            Err(error) => {
                self.end();
                self.counters.failures += 1;
                Err(SolveFailure::Failed(chain(&error)))
            }
        }
    }

    fn ask(&mut self, problem: &Problem) -> Result<Outcome, FrameError> {
        let bytes = serde_json::to_vec(problem).map_err(FrameError::Malformed)?;
        let running = self.running().map_err(FrameError::Pipe)?;
        let deadline = Instant::now() + Duration::from_millis(problem.limits.hard_ms);
        let input = ByDeadline(&mut running.input, deadline);
        write_frame(input, &bytes)?;
        let bytes = read_frame_by(&mut running.output, deadline)?;
        let outcome: Outcome = serde_json::from_slice(&bytes).map_err(FrameError::Malformed)?;
        let (asked, answered) = (problem.id, outcome.problem);
        if asked != answered {
            return Err(FrameError::Stray { asked, answered });
        }
        Ok(outcome)
    }

    fn running(&mut self) -> io::Result<&mut Running> {
        if self
            .child
            .as_mut()
            .is_some_and(|running| !matches!(running.child.try_wait(), Ok(None)))
        {
            self.end();
        }
        match &mut self.child {
            Some(running) => Ok(running),
            empty => Ok(empty.insert(start(&self.command)?)),
        }
    }

    fn end(&mut self) {
        if let Some(mut running) = self.child.take() {
            // It may have died by itself; then there is nothing to kill, and it is reaped.
            let _dead = running
                .child
                .kill()
                .and_then(|()| running.child.wait().map(|_| ()));
        }
    }
}

impl Drop for Solver {
    fn drop(&mut self) {
        self.end();
    }
}

fn start(command: &[String]) -> io::Result<Running> {
    let nothing = || io::Error::new(io::ErrorKind::InvalidInput, "the solver has no command");
    let (program, args) = command.split_first().ok_or_else(nothing)?;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (input, output) = pipes.expect("both pipes were asked for");
    // A child that does not read must not hold up its parent once the pipe is full.
    fcntl(&input, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(Running {
        child,
        input,
        output,
    })
}

/// Reads a frame piece by piece, waiting no longer than until the deadline.
fn read_frame_by(output: &mut ChildStdout, deadline: Instant) -> Result<Vec<u8>, FrameError> {
    let length = read_by(output, 4, deadline)?;
    let length = length
        .try_into()
        .map(u32::from_le_bytes)
        .unwrap_or(u32::MAX);
    if length > FRAME_MAX_BYTES {
        return Err(FrameError::TooLarge(length));
    }
    read_by(output, length as usize, deadline)
}

fn read_by(
    output: &mut ChildStdout,
    length: usize,
    deadline: Instant,
) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        wait(output.as_fd(), PollFlags::POLLIN, deadline).map_err(late_or_pipe)?;
        let read = output.read(&mut bytes[filled..]);
        match read.map_err(FrameError::Pipe)? {
            0 => return Err(FrameError::Pipe(io::ErrorKind::UnexpectedEof.into())),
            read => filled += read,
        }
    }
    Ok(bytes)
}

/// A pipe to a child that may not read: written to until the deadline.
struct ByDeadline<'a>(&'a mut ChildStdin, Instant);

impl Write for ByDeadline<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        wait(self.0.as_fd(), PollFlags::POLLOUT, self.1)?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Waits until a pipe is ready; `TimedOut` when it is not by the deadline.
fn wait(pipe: BorrowedFd<'_>, event: PollFlags, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pipe, event)], timeout) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn late_or_pipe(error: io::Error) -> FrameError {
    match error.kind() {
        io::ErrorKind::TimedOut => FrameError::Late,
        _ => FrameError::Pipe(error),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests;
