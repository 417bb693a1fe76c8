//! One agent for a state directory.

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why this process may not be the agent.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another one is.
    #[error("another agent is running with state directory `{}`; stop it, or set another state_dir", path.display())]
    Held {
        /// The directory.
        path: PathBuf,
    },
    /// The lock file cannot be used.
    #[error("failed to lock `{}`: check the directory's owner", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Held for as long as this lives; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes the lock of this directory, making the directory if need be.
    pub(super) fn take(state_dir: &Path) -> Result<Self, LockError> {
        let path = state_dir.join("lock");
        let unusable = |source| LockError::Unusable {
            path: path.clone(),
            source,
        };
        // What is in it belongs to the workloads: nobody else may read it.
        let mut directory = DirBuilder::new();
        let made = directory.recursive(true).mode(0o700).create(state_dir);
        made.map_err(unusable)?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(unusable)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { _file: file }),
            Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Held {
                path: state_dir.to_owned(),
            }),
            Err((_, errno)) => Err(unusable(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let first = Lock::take(&state).unwrap();
        assert!(matches!(Lock::take(&state), Err(LockError::Held { .. })));
        drop(first);
        Lock::take(&state).unwrap();
    }
}
