//! The slice's first process: in the leaf, in a session of its own, as its owner, with nothing of
//! ours open.

#![allow(
    unsafe_code,
    reason = "fork and what runs between fork and exec; one thread only"
)]

use super::Job;
use crate::enforce::{process::Process, tree::Tree};
use nix::{
    errno::Errno,
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::SigSet,
        stat::{Mode, umask},
    },
    unistd::{ForkResult, Gid, Uid, User, chdir, geteuid, setgid, setgroups, setsid, setuid},
};
use std::{
    ffi::CString,
    fs::{File, OpenOptions},
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{ChildStderr, ChildStdout, Command, Stdio},
};
use thiserror::Error;

/// The process runs.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) process: Process,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// Why the process does not run.
#[derive(Debug, Error)]
pub(super) enum StartFailure {
    #[error("failed to open `{}`: {source}", path.display())]
    Entrance { path: PathBuf, source: io::Error },
    #[error("working directory `{0}` holds a zero byte")]
    Workdir(String),
    #[error("failed to {step}: {source}")]
    Step { step: String, source: io::Error },
    #[error("failed to run `{program}`: {source}")]
    Run { program: String, source: io::Error },
}

/// Becomes two processes.
pub(super) fn fork() -> Result<ForkResult, Errno> {
    // SAFETY: the caller's contract is that this process has one thread, so no lock can be held by
    // a thread that the child lacks, and the child may do whatever a process may do.
    unsafe { nix::unistd::fork() }
}

/// What happens between fork and exec, in this order.
const STEPS: [(&str, Step); 9] = [
    ("enter the cgroup", enter),
    ("begin a session", |_| {
        setsid().map(drop).map_err(io::Error::from)
    }),
    ("forbid core dumps", |_| {
        Ok(setrlimit(Resource::RLIMIT_CORE, 0, 0)?)
    }),
    ("take the owner's groups", take_groups),
    ("take the owner's uid", take_uid),
    ("forbid new privileges", |_| Ok(prctl::set_no_new_privs()?)),
    ("set the umask", set_umask),
    ("go to the working directory", |setup| {
        Ok(chdir(setup.workdir.as_c_str())?)
    }),
    ("close descriptors", close_descriptors),
];

type Step = fn(&Setup) -> io::Result<()>;

/// Everything the steps need, made before the fork.
struct Setup {
    entrances: Vec<File>,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    is_root: bool,
    workdir: CString,
    failed_step: PipeWriter,
}

/// Starts the process and waits until it runs its program or has failed to.
pub(super) fn spawn(job: &Job, tree: Option<&dyn Tree>) -> Result<Child, StartFailure> {
    let (program, arguments) = job.argv.split_first().ok_or_else(|| StartFailure::Run {
        program: String::new(),
        source: io::Error::from_raw_os_error(libc::ENOENT),
    })?;
    let (failed_step, setup) = setup(job, tree)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(home(job.owner.uid))
        .envs(&job.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // SAFETY: this process has one thread, so between fork and exec the child may use the heap and
    // every lock; the closure only makes system calls on what was made before.
    unsafe { command.pre_exec(move || take_steps(&setup)) };
    let spawned = command.spawn();
    // It holds the writing end: without it the pipe can be read to its end.
    drop(command);
    let mut child = spawned.map_err(|source| why(program, job, failed_step, source))?;
    let missing = |_| StartFailure::Run {
        program: program.clone(),
        source: io::Error::from_raw_os_error(libc::ESRCH),
    };
    // A zombie keeps its start time until it is reaped, and nobody has reaped it yet.
    let process = Process::of(child.id().cast_signed()).map_err(missing)?;
    Ok(Child {
        process: process
            .ok_or(())
            .map_err(|()| missing(io::Error::other("")))?,
        stdout: child
            .stdout
            .take()
            .expect("standard output was asked to be a pipe"),
        stderr: child
            .stderr
            .take()
            .expect("standard error was asked to be a pipe"),
    })
}

fn setup(job: &Job, tree: Option<&dyn Tree>) -> Result<(PipeReader, Setup), StartFailure> {
    let open = |path: PathBuf| {
        let opened = OpenOptions::new().write(true).open(&path);
        opened.map_err(|source| StartFailure::Entrance { path, source })
    };
    let entrances = tree.map_or_else(Vec::new, |tree| tree.entrances(&job.leaf));
    let pipe = io::pipe().map_err(|source| StartFailure::Step {
        step: "make a pipe".to_owned(),
        source,
    })?;
    let setup = Setup {
        entrances: entrances.into_iter().map(open).collect::<Result<_, _>>()?,
        uid: Uid::from_raw(job.owner.uid),
        gid: Gid::from_raw(job.owner.gid),
        groups: job
            .owner
            .groups
            .iter()
            .copied()
            .map(Gid::from_raw)
            .collect(),
        is_root: geteuid().is_root(),
        workdir: CString::new(job.workdir.as_str())
            .map_err(|_| StartFailure::Workdir(job.workdir.clone()))?,
        failed_step: pipe.1,
    };
    Ok((pipe.0, setup))
}

/// Which step refused, or that the program itself could not be run.
fn why(program: &str, job: &Job, mut steps: PipeReader, source: io::Error) -> StartFailure {
    let mut number = [0];
    let step = match steps.read(&mut number) {
        Ok(1) => STEPS.get(usize::from(number[0])).map(|(name, _)| *name),
        _ => None,
    };
    match step {
        None => StartFailure::Run {
            program: program.to_owned(),
            source,
        },
        Some("go to the working directory") => StartFailure::Step {
            step: format!("go to the working directory `{}`", job.workdir),
            source,
        },
        Some("take the owner's uid") => StartFailure::Step {
            step: format!("become uid {}", job.owner.uid),
            source,
        },
        Some(step) => StartFailure::Step {
            step: step.to_owned(),
            source,
        },
    }
}

/// Runs in the child. A step that refuses names itself, since exec's errors carry only a number.
fn take_steps(setup: &Setup) -> io::Result<()> {
    for (number, (_, step)) in (0_u8..).zip(STEPS) {
        if let Err(error) = step(setup) {
            (&setup.failed_step).write_all(&[number])?;
            return Err(error);
        }
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

fn enter(setup: &Setup) -> io::Result<()> {
    setup
        .entrances
        .iter()
        .try_for_each(|mut entrance| entrance.write_all(b"0"))
}

fn take_groups(setup: &Setup) -> io::Result<()> {
    if setup.is_root {
        setgroups(&setup.groups)?;
        setgid(setup.gid)?;
    }
    Ok(())
}

fn take_uid(setup: &Setup) -> io::Result<()> {
    if setup.is_root {
        setuid(setup.uid)?;
    }
    Ok(())
}

fn set_umask(_setup: &Setup) -> io::Result<()> {
    umask(Mode::from_bits_truncate(0o022));
    Ok(())
}

/// Everything here is close-on-exec already; this is the second wall.
fn close_descriptors(_setup: &Setup) -> io::Result<()> {
    let (first, last) = (3, libc::c_uint::MAX);
    // SAFETY: the call only marks descriptors to be closed at exec; it touches no memory.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            last,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    match answer {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            // Kernels before 5.11 cannot.
            error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => Ok(()),
            error => Err(error),
        },
    }
}

/// What programs expect to know of their user.
fn home(uid: u32) -> Vec<(&'static str, String)> {
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else {
        return Vec::new();
    };
    vec![
        ("HOME", user.dir.to_string_lossy().into_owned()),
        ("USER", user.name.clone()),
        ("LOGNAME", user.name),
    ]
}
