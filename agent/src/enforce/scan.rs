//! What exists: every leaf below the parent and every slice's own directory, whoever made it.

use super::{
    Enforcer, ExamineError, SUPERVISORS,
    descriptor::Descriptor,
    directory::CgroupError,
    probe::PROBE_PREFIX,
    process::{Family, Process},
    record::{Identity, RecordDirectory, RecordError},
    tree::remove_all,
};
use dovetail_model::{id::SliceId, report::ExitRecord};
use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::OwnedFd,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};
use thiserror::Error;

/// How long a supervisor that has just been started may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(2);
/// How long a half-made leaf may take to go.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why it could not be found out what exists.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The run directory could not be read.
    #[error("failed to list run directory `{}`", path.display())]
    RunDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The parent's leaves could not be read.
    #[error("failed to list slices")]
    Leaves(#[source] CgroupError),
    /// One slice could not be examined.
    #[error("failed to examine slice `{name}`")]
    Slice {
        /// Its directory's name.
        name: String,
        /// Why.
        #[source]
        source: ExamineError,
    },
}

/// Something that exists where slices are.
#[derive(Debug)]
pub struct FoundSlice {
    /// The directory's name.
    pub name: String,
    /// The slice, if the name is one.
    pub slice: Option<SliceId>,
    /// What it is; absent for what is no slice of ours, and for a slice whose leaf is gone.
    pub descriptor: Option<Descriptor>,
    /// Its supervisor, if that lives.
    pub supervisor: Option<Process>,
    /// Becomes readable when the supervisor ends; absent if it has.
    pub watch: Option<OwnedFd>,
    /// Whether processes of it live.
    pub has_processes: bool,
    /// How it ended, if it did.
    pub exit: Option<ExitRecord>,
}

impl Enforcer {
    /// Finds what exists, and removes what an interrupted start left half-made.
    pub fn scan(&self) -> Result<Vec<FoundSlice>, ScanError> {
        let leaves = match &self.tree {
            Some(tree) => tree.leaves().map_err(ScanError::Leaves)?,
            None => BTreeSet::new(),
        };
        let mut names = self.record_names()?;
        names.extend(leaves);
        let mut found = Vec::new();
        for name in names {
            if name.starts_with(PROBE_PREFIX) {
                self.drop_probe(&name);
            } else if name != SUPERVISORS {
                let examined = self.examine(&name);
                found.extend(examined.map_err(|source| ScanError::Slice { name, source })?);
            }
        }
        Ok(found)
    }

    /// An agent that was killed while it tried its limits has left this.
    fn drop_probe(&self, name: &str) {
        let removed = self
            .tree
            .as_ref()
            .map_or(Ok(()), |tree| tree.remove_once(name));
        if let Err(error) = removed {
            tracing::warn!(%name, %error, "failed to remove a probe of an earlier agent");
        }
    }

    fn record_names(&self) -> Result<BTreeSet<String>, ScanError> {
        let path = &self.config.run_dir;
        let failed = |source| ScanError::RunDir {
            path: path.clone(),
            source,
        };
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let name = entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned();
            // The run directory may hold other things of the agent.
            if name.parse::<SliceId>().is_ok() {
                names.insert(name);
            }
        }
        Ok(names)
    }

    fn examine(&self, name: &str) -> Result<Option<FoundSlice>, ExamineError> {
        let slice = name.parse().ok();
        let record = self.record_named(name);
        let identity = living(&record)?;
        let found = FoundSlice {
            name: name.to_owned(),
            slice,
            descriptor: self.descriptor(name)?,
            watch: self.watch(slice, identity.as_ref())?,
            has_processes: self.has_processes(name)?,
            exit: record.ending()?.map(|ending| ending.record),
            supervisor: identity.map(|identity| identity.supervisor),
        };
        // A supervisor that lives is about to write whatever is missing.
        let half_made = slice.is_some()
            && found.descriptor.is_none()
            && found.exit.is_none()
            && !found.has_processes
            && !record.is_locked()?;
        if half_made {
            self.clean(name, &record)?;
            return Ok(None);
        }
        Ok(Some(found))
    }

    fn watch(
        &self,
        slice: Option<SliceId>,
        identity: Option<&Identity>,
    ) -> Result<Option<OwnedFd>, ExamineError> {
        let (Some(slice), Some(identity)) = (slice, identity) else {
            return Ok(None);
        };
        identity
            .supervisor
            .watch()
            .map_err(|source| ExamineError::Process { slice, source })
    }

    fn clean(&self, name: &str, record: &RecordDirectory) -> Result<(), ExamineError> {
        if let Some(tree) = &self.tree
            && !remove_all(tree.as_ref(), name, PATIENCE)?
        {
            tracing::warn!(%name, "half-made cgroup is still busy");
            return Ok(());
        }
        tracing::info!(%name, "half-made slice removed");
        Ok(record.remove()?)
    }

    /// Whether processes of a slice live, supervised or not.
    pub(super) fn has_processes(&self, name: &str) -> Result<bool, ExamineError> {
        if let Some(tree) = &self.tree {
            return Ok(!tree.pids(name)?.is_empty());
        }
        let record = self.record_named(name);
        let family = self.family(name, &record)?;
        Ok(family.is_some_and(|family| !family.is_empty()))
    }

    /// The processes of a slice without a cgroup: its supervisor's descendants, or what is left of
    /// its session when the supervisor is gone.
    pub(super) fn family(
        &self,
        name: &str,
        record: &RecordDirectory,
    ) -> Result<Option<Family>, ExamineError> {
        let Some(slice) = name.parse().ok() else {
            return Ok(None);
        };
        let failed = |source| ExamineError::Process { slice, source };
        let Some(identity) = record.identity()? else {
            return Ok(None);
        };
        if identity.boot_id != super::boot_id().map_err(failed)? {
            return Ok(None);
        }
        if record.is_locked()? {
            return Family::below(identity.supervisor.pid)
                .map(Some)
                .map_err(failed);
        }
        let Some(child) = identity.child else {
            return Ok(None);
        };
        // A session's number is not used again while the session has members, but it is when the
        // leader's pid belongs to somebody younger.
        match Process::of(child.pid).map_err(failed)? {
            Some(now) if now != child => Ok(None),
            _ => Family::of_session(child.pid).map(Some).map_err(failed),
        }
    }
}

/// The living supervisor of a slice; one that has just been started is given time to say so.
pub(super) fn living(record: &RecordDirectory) -> Result<Option<Identity>, RecordError> {
    let end = Instant::now() + INTRODUCTION;
    while record.is_locked()? {
        if let Some(identity) = record.identity()? {
            return Ok(Some(identity));
        }
        if Instant::now() >= end {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}
