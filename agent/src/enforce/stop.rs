//! Ending a slice: ask, kill, remove; and holding it still.

use super::{
    Enforcer, ExamineError,
    record::RecordError,
    scan::living,
    tree::{kill_all, remove_all},
};
use dovetail_model::id::SliceId;
use rustix::process::Signal;
use std::{
    io, thread,
    time::{Duration, Instant},
};
use thiserror::Error;

/// How long a kill is repeated in one call; the caller tries again.
const KILL_PATIENCE: Duration = Duration::from_millis(500);
/// How long one call waits for a slice to be gone.
const REMOVE_PATIENCE: Duration = Duration::from_secs(2);

/// Why a slice could not be stopped or removed.
#[derive(Debug, Error)]
pub enum StopError {
    /// It could not be examined, or its cgroup refused.
    #[error(transparent)]
    Examine(#[from] ExamineError),
    /// A signal could not be sent.
    #[error("failed to signal slice {slice}")]
    Signal {
        /// The slice.
        slice: SliceId,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl From<super::CgroupError> for StopError {
    fn from(error: super::CgroupError) -> Self {
        Self::Examine(error.into())
    }
}

impl From<RecordError> for StopError {
    fn from(error: RecordError) -> Self {
        Self::Examine(error.into())
    }
}

/// What came of an attempt to remove a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Nothing of it is left in the kernel.
    Removed,
    /// Something is, and it still holds what it was given.
    Busy(String),
}

impl Enforcer {
    /// Asks every process of a slice to end. Its supervisor sends the signal the workload wants,
    /// and kills after the workload's grace; without a supervisor, `signal` is sent.
    pub fn stop(&self, slice: SliceId, signal: i32) -> Result<(), StopError> {
        if self.tell_supervisor(slice, Signal::TERM)? {
            return Ok(());
        }
        let signal = Signal::from_named_raw(signal).ok_or_else(|| StopError::Signal {
            slice,
            source: io::Error::from_raw_os_error(libc::EINVAL),
        })?;
        self.signal_all(slice, signal)
    }

    /// Kills every process of a slice, supervised or not. What cannot die yet is left to the next
    /// call.
    pub fn kill(&self, slice: SliceId) -> Result<(), StopError> {
        // Told first, so that the record says who wanted it.
        self.tell_supervisor(slice, Signal::QUIT)?;
        match &self.tree {
            Some(tree) => {
                kill_all(tree.as_ref(), &slice.to_string(), KILL_PATIENCE)?;
                Ok(())
            }
            None => self.signal_all(slice, Signal::KILL),
        }
    }

    /// Holds every process of a slice still, or lets it go on.
    pub fn freeze(&self, slice: SliceId, frozen: bool) -> Result<(), StopError> {
        match &self.tree {
            Some(tree) => Ok(tree.freeze(&slice.to_string(), frozen)?),
            None => self.signal_all(slice, if frozen { Signal::STOP } else { Signal::CONT }),
        }
    }

    /// Removes what is left of a slice in the kernel; its exit record and output stay.
    pub fn remove(&self, slice: SliceId) -> Result<Removal, StopError> {
        let record = self.record(slice);
        let end = Instant::now() + REMOVE_PATIENCE;
        while record.is_locked()? {
            // A supervisor ends by itself as soon as its record is durable.
            if Instant::now() >= end {
                return Ok(Removal::Busy(format!(
                    "the supervisor of slice {slice} still runs"
                )));
            }
            thread::sleep(Duration::from_millis(5));
        }
        let gone = match &self.tree {
            Some(tree) => remove_all(tree.as_ref(), &slice.to_string(), REMOVE_PATIENCE)?,
            None => self.kill_family(slice, end)?,
        };
        if !gone {
            return Ok(Removal::Busy(format!(
                "processes of slice {slice} are still there"
            )));
        }
        record.remove_descriptor()?;
        Ok(Removal::Removed)
    }

    fn tell_supervisor(&self, slice: SliceId, signal: Signal) -> Result<bool, StopError> {
        let Some(identity) = living(&self.record(slice))? else {
            return Ok(false);
        };
        let told = identity.supervisor.signal(signal);
        told.map_err(|source| StopError::Signal { slice, source })
    }

    fn signal_all(&self, slice: SliceId, signal: Signal) -> Result<(), StopError> {
        let name = slice.to_string();
        if let Some(tree) = &self.tree {
            super::tree::signal_each(&tree.pids(&name)?, signal);
        } else if let Some(family) = self.family(&name, &self.record(slice))? {
            family.signal(signal);
        }
        Ok(())
    }

    fn kill_family(&self, slice: SliceId, end: Instant) -> Result<bool, StopError> {
        while self.has_processes(&slice.to_string())? {
            if Instant::now() >= end {
                return Ok(false);
            }
            self.signal_all(slice, Signal::KILL)?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(true)
    }
}
