//! Making a slice: leaf, limits, fence, descriptor, and only then a process.

use super::{
    Enforcer, SUPERVISORS,
    descriptor::{Descriptor, Provenance},
    directory::CgroupError,
    environment::environment,
    fence::{DeviceNode, Fence},
    process::Process,
    record::{RecordDirectory, RecordError},
    scan::living,
    tree::{Limit, Tree, remove_all},
};
use crate::{
    clock,
    supervise::{Job, Reply},
};
use dovetail_model::{
    grant::Grant,
    id::{ClusterId, Epoch, SliceId},
    resources::Level,
};
use rustix::fs::{StatVfs, statvfs};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
    time::Duration,
};
use thiserror::Error;

/// How long a supervisor may take to take over; a program on a slow disk is not waited for.
const HANDOVER: Duration = Duration::from_secs(10);
/// How long what a failed start left may take to go.
const UNDO: Duration = Duration::from_secs(2);

/// A slice whose supervisor has taken over. That its process could not be started is an end like
/// any other: the exit record says so.
#[derive(Debug)]
pub struct Started {
    /// The supervisor.
    pub supervisor: Process,
    /// Becomes readable when the slice ends; nothing if it has ended.
    pub watch: Option<OwnedFd>,
    /// The enforcement it has.
    pub level: Level,
}

/// Less room than this and a supervisor cannot write down that it began.
const LEAST_ROOM_BYTES: u64 = 64 << 10;

/// Why a slice was not made. Nothing of it is left.
#[derive(Debug, Error)]
pub enum StartError {
    /// Nothing holds it, and that is not allowed.
    #[error("limits cannot be enforced here ({reasons}) and `unconfined` is off")]
    NotEnforced {
        /// Which, and why.
        reasons: String,
    },
    /// Only root can start a process of somebody else.
    #[error("cannot run as uid {wanted}: the agent runs as uid {own}; run the agent as root")]
    OtherUser {
        /// Whom it shall run as.
        wanted: u32,
        /// Whom the agent runs as.
        own: u32,
    },
    /// There is no program to run.
    #[error("argv is empty")]
    NoProgram,
    /// It has run already; its record must be forgotten first.
    #[error("slice {0} has already ended")]
    AlreadyEnded(SliceId),
    /// Its cgroup could not be made.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Its own directory could not be made.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A device node could not be read.
    #[error("failed to read the device nodes of slice {slice}")]
    Device {
        /// The slice.
        slice: SliceId,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What earlier processes of this slice left does not go away.
    #[error("an earlier cgroup of slice {0} is still busy")]
    Busy(SliceId),
    /// The supervisor could not be started.
    #[error("failed to start the supervisor of slice {slice}")]
    Spawn {
        /// The slice.
        slice: SliceId,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The supervisor gave up.
    #[error("the supervisor of slice {slice} gave up: {why}")]
    Supervisor {
        /// The slice.
        slice: SliceId,
        /// What it said last.
        why: String,
    },
}

impl Enforcer {
    /// Makes a slice and starts its process. For a slice that is running this finds the running
    /// one.
    pub fn start(
        &self,
        grant: &Grant,
        cluster: &ClusterId,
        epoch: Epoch,
        devices: &[DeviceNode],
    ) -> Result<Started, StartError> {
        self.admit(grant)?;
        let slice = grant.placement.slice;
        let record = self.record(slice);
        record.make()?;
        let Some(lock) = record.lock()? else {
            return self.started(slice, &record);
        };
        if record.ending()?.is_some() {
            return Err(StartError::AlreadyEnded(slice));
        }
        let descriptor = Descriptor::new(
            grant,
            Provenance {
                cluster,
                epoch,
                level: self.capabilities().level,
                pids_max: self.probed.pids.then_some(self.config.pids_max),
                boot_ns: clock::now().boot_ns,
            },
        );
        let made = self
            .make(&descriptor, &record, devices)
            .and_then(|()| self.hand_over(grant, &record, lock));
        if made.is_err() {
            self.undo(slice, &record);
        }
        made
    }

    fn admit(&self, grant: &Grant) -> Result<(), StartError> {
        let own = rustix::process::geteuid();
        let wanted = grant.owner.uid;
        let capabilities = self.capabilities();
        if grant.spec.argv.is_empty() {
            Err(StartError::NoProgram)
        } else if capabilities.level == Level::None && !self.config.unconfined {
            let reasons = capabilities.not_enforced.join("; ");
            Err(StartError::NotEnforced { reasons })
        } else if !own.is_root() && own.as_raw() != wanted {
            Err(StartError::OtherUser {
                wanted,
                own: own.as_raw(),
            })
        } else {
            Ok(())
        }
    }

    /// Everything that must hold before there is a process.
    fn make(
        &self,
        descriptor: &Descriptor,
        record: &RecordDirectory,
        devices: &[DeviceNode],
    ) -> Result<(), StartError> {
        let slice = descriptor.placement.slice;
        if let Some(tree) = &self.tree {
            let leaf = slice.to_string();
            if !remove_all(tree.as_ref(), &leaf, UNDO)? {
                return Err(StartError::Busy(slice));
            }
            tree.make(&leaf)?;
            self.limit(tree.as_ref(), &leaf, descriptor)?;
            let fence = Fence::of(devices, &self.config.dev_root)
                .map_err(|source| StartError::Device { slice, source })?;
            if self.probed.devices {
                tree.fence(&leaf, &fence)?;
            }
            if self.probed.attributes {
                let directory = tree.described(&leaf)?.ok_or(StartError::Busy(slice))?;
                return Ok(descriptor.attach(&directory)?);
            }
        }
        Ok(record.write_descriptor(&descriptor.to_json())?)
    }

    fn limit(
        &self,
        tree: &dyn Tree,
        leaf: &str,
        descriptor: &Descriptor,
    ) -> Result<(), CgroupError> {
        let placement = &descriptor.placement;
        let cpu = Limit::Cpu {
            request: placement.cpu,
            limit: descriptor.cpu_limit,
        };
        let wanted = [
            (self.probed.cpu, cpu),
            (self.probed.memory, Limit::Memory(placement.memory)),
            (self.probed.pids, Limit::Pids(self.config.pids_max)),
        ];
        let holding = wanted.into_iter().filter(|(holds, _)| *holds);
        holding
            .map(|(_, limit)| limit)
            .try_for_each(|limit| tree.limit(leaf, limit))
    }

    /// Starts the supervisor with the lock as its standard output and the job on its standard
    /// input, so that secrets touch no disk.
    fn hand_over(
        &self,
        grant: &Grant,
        record: &RecordDirectory,
        lock: File,
    ) -> Result<Started, StartError> {
        let slice = grant.placement.slice;
        let failed = |source| StartError::Spawn { slice, source };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new(&self.config.supervisor_exe);
        command
            .arg("supervise")
            .arg(slice.to_string())
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(lock)
            .stderr(Stdio::from(record.log()?));
        let mut child = command.spawn().map_err(failed)?;
        // The command holds copies of the lock and of the supervisor's end of the socket.
        drop(command);
        let reply = send_job(ours, &self.job(grant, record));
        // It has gone into the background: what is waited for is its short-lived first process.
        child.wait().map_err(failed)?;
        match reply.map_err(|source| self.no_reply(slice, source))? {
            Some(Reply::Ready) => self.started(slice, record),
            Some(Reply::Refused(why)) => Err(StartError::Supervisor { slice, why }),
            None => self.started(slice, record).map_err(|_| {
                let why = record.last_words();
                StartError::Supervisor { slice, why }
            }),
        }
    }

    fn job(&self, grant: &Grant, record: &RecordDirectory) -> Job {
        let spec = &grant.spec;
        Job {
            leaf: grant.placement.slice.to_string(),
            supervisors: SUPERVISORS.to_owned(),
            tree: self.place.clone(),
            record: record.clone(),
            argv: spec.argv.clone(),
            env: environment(grant),
            workdir: spec.workdir.clone(),
            owner: grant.owner.clone(),
            max_runtime_ns: spec.max_runtime_ns,
            stop_signal: spec.stop_signal,
            stop_grace_ns: spec.stop_grace_ns,
            output_max_bytes: self.config.output_max_bytes,
        }
    }

    /// A supervisor that finds no room for its first words is gone before it can say so.
    fn no_reply(&self, slice: SliceId, source: io::Error) -> StartError {
        let run_dir = &self.config.run_dir;
        let full = |disk: StatVfs| disk.f_bavail.saturating_mul(disk.f_frsize) < LEAST_ROOM_BYTES;
        if statvfs(run_dir).is_ok_and(full) {
            let why = format!(
                "the disk of `{}` is full; free some space there",
                run_dir.display()
            );
            return StartError::Supervisor { slice, why };
        }
        StartError::Spawn { slice, source }
    }

    /// The supervisor that has a slice's lock, or had it until just now.
    fn started(&self, slice: SliceId, record: &RecordDirectory) -> Result<Started, StartError> {
        let failed = |source| StartError::Spawn { slice, source };
        let level = self.capabilities().level;
        let identity = match living(record)? {
            // It has ended already: it still says who it was.
            None => record.identity()?,
            living => living,
        };
        let identity = identity.ok_or_else(|| StartError::Supervisor {
            slice,
            why: record.last_words(),
        })?;
        let supervisor = identity.supervisor;
        let watch = supervisor.watch().map_err(failed)?;
        Ok(Started {
            supervisor,
            watch,
            level,
        })
    }

    fn undo(&self, slice: SliceId, record: &RecordDirectory) {
        let leaf = slice.to_string();
        let gone = match &self.tree {
            Some(tree) => remove_all(tree.as_ref(), &leaf, UNDO),
            None => Ok(true),
        };
        match gone {
            Ok(true) => {}
            Ok(false) => tracing::warn!(%slice, "half-made cgroup is still busy"),
            Err(error) => tracing::warn!(%slice, %error, "half-made cgroup not removed"),
        }
        if let Err(error) = record.remove() {
            tracing::warn!(%slice, %error, "half-made slice directory not removed");
        }
    }
}

/// Sends the job and waits for the answer; nothing if there was none in time.
fn send_job(mut socket: UnixStream, job: &Job) -> io::Result<Option<Reply>> {
    socket.set_write_timeout(Some(HANDOVER))?;
    socket.set_read_timeout(Some(HANDOVER))?;
    let json = serde_json::to_vec(job).map_err(io::Error::other)?;
    let sent = socket
        .write_all(&json)
        .and_then(|()| socket.shutdown(Shutdown::Write));
    match sent {
        // It ended before it had read everything: what it said last tells why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(None),
        sent => sent?,
    }
    let mut line = String::new();
    match BufReader::new(socket).read_line(&mut line) {
        Ok(_) => Ok(serde_json::from_str(&line).ok()),
        Err(error) if is_timeout(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
