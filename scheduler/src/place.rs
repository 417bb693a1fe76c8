//! The scheduler's place on the host: its data directory, held by one process, and its socket.

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Name of the lock file in the data directory.
const LOCK: &str = "lock";

/// Why a scheduler cannot be here.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// Another process holds the data directory.
    #[error("a scheduler{who} already uses the data directory `{}`", dir.display())]
    DataDirInUse {
        /// The directory.
        dir: PathBuf,
        /// ` (pid 12)`, if it says so.
        who: String,
    },
    /// Somebody answers on the socket.
    #[error("another process already listens on the socket `{}`", path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// The data directory cannot be used.
    #[error("failed to {verb} `{}`", path.display())]
    DataDir {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The socket's directory does not exist.
    #[error(
        "the directory of the socket `{}` does not exist; create it (under systemd: \
         tmpfiles.d/dovetail.conf), or choose another `socket`",
        path.display()
    )]
    NoSocketDir {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is in the way.
    #[error("`{}` exists and is no socket; move it, or choose another `socket`", path.display())]
    NoSocket {
        /// What is in the way.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("failed to {verb} the socket `{}`", path.display())]
    Socket {
        /// What was tried.
        verb: &'static str,
        /// The socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A data directory that no other scheduler uses, as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl DataDir {
    /// Takes a directory, making it if it is missing.
    pub fn take(path: &Path) -> Result<Self, PlaceError> {
        let failed = |verb, path: &Path| {
            let path = path.to_owned();
            move |source| PlaceError::DataDir { verb, path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("create the data directory", path))?;
        let lock = path.join(LOCK);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock)
            .map_err(failed("open the lock", &lock))?;
        let mut held = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => held,
            Err((file, Errno::EWOULDBLOCK)) => {
                return Err(PlaceError::DataDirInUse {
                    dir: path.to_owned(),
                    who: holder(file),
                });
            }
            Err((_, errno)) => return Err(failed("lock", &lock)(errno.into())),
        };
        let note = |file: &mut File| {
            file.set_len(0)?;
            file.write_all(std::process::id().to_string().as_bytes())
        };
        // Only for the message of a second scheduler: on a full disk it does without.
        if let Err(error) = note(&mut held) {
            tracing::warn!(%error, "failed to note the pid in the lock file");
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: held,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes free for the scheduler on its disk, if the kernel says.
    pub fn free_bytes(path: &Path) -> Option<u64> {
        let disk = nix::sys::statvfs::statvfs(path).ok()?;
        Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
    }
}

fn holder(mut file: File) -> String {
    let mut pid = String::new();
    match file.read_to_string(&mut pid) {
        Ok(_) if !pid.is_empty() => format!(" (pid {pid})"),
        _ => String::new(),
    }
}

/// Listens on a Unix socket. A file that a dead scheduler left is replaced; one that somebody
/// answers on is not.
pub fn listen(path: &Path, mode: u32) -> Result<UnixListener, PlaceError> {
    let failed = |verb| {
        let path = path.to_owned();
        move |source| PlaceError::Socket { verb, path, source }
    };
    if !path.parent().is_some_and(Path::is_dir) {
        return Err(PlaceError::NoSocketDir {
            path: path.to_owned(),
        });
    }
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(failed("bind"))?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of"))?;
    listener.set_nonblocking(true).map_err(failed("prepare"))?;
    Ok(listener)
}

fn remove_stale(path: &Path) -> Result<(), PlaceError> {
    let failed = |verb| {
        let path = path.to_owned();
        move |source| PlaceError::Socket { verb, path, source }
    };
    let path = path.to_owned();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at")(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(PlaceError::NoSocket { path }),
        Ok(_) => {}
    }
    match UnixStream::connect(&path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(socket = %path.display(), "removing the socket of a scheduler that is gone");
            fs::remove_file(&path).map_err(failed("remove the stale"))
        }
        // Answered, or too busy to answer: somebody is there.
        _ => Err(PlaceError::SocketInUse { path }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_scheduler() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        let first = DataDir::take(&data).unwrap();
        let mode = fs::metadata(&data).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let second = DataDir::take(&data).unwrap_err().to_string();
        assert!(
            second.contains(&format!("(pid {})", std::process::id())),
            "{second}"
        );
        drop(first);
        DataDir::take(&data).unwrap();
        assert!(DataDir::free_bytes(&data).is_some_and(|free| free > 0));
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let first = listen(&path, 0o666).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o666
        );
        assert!(matches!(
            listen(&path, 0o666),
            Err(PlaceError::SocketInUse { .. })
        ));
        drop(first);
        listen(&path, 0o600).unwrap();
    }

    #[test]
    fn what_is_no_socket_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "x").unwrap();
        assert!(matches!(
            listen(&path, 0o666),
            Err(PlaceError::NoSocket { .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "x");
        let lost = dir.path().join("missing/s");
        assert!(matches!(
            listen(&lost, 0o666),
            Err(PlaceError::NoSocketDir { .. })
        ));
    }
}
