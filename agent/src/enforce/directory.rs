//! A directory held open: cgroup files are reached through it, so that a swapped path cannot
//! lead a write elsewhere.

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{self, AtFlags, Mode, OFlags, XattrFlags},
    io::Errno,
};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Longest kernel file read: `cgroup.procs` of a full slice stays far below.
const FILE_MAX_BYTES: usize = 1 << 20;
/// Longest descriptor read back.
const ATTRIBUTE_MAX_BYTES: usize = 64 << 10;

/// Why a cgroup could not be read or changed.
#[derive(Debug, Error)]
pub enum CgroupError {
    /// A file or directory refused.
    #[error("failed to {action} `{}`", path.display())]
    Access {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A file refused a value.
    #[error("failed to write `{value}` to `{}`", path.display())]
    Write {
        /// The value.
        value: String,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A file did not hold what it should.
    #[error("`{}` holds no {what}", path.display())]
    Unreadable {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A device program was refused.
    #[error("failed to {action} the device program of `{}`", path.display())]
    Device {
        /// What was tried.
        action: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl CgroupError {
    /// The kernel's error number, if it was the kernel that refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Access { source, .. }
            | Self::Write { source, .. }
            | Self::Device { source, .. } => source.raw_os_error(),
            Self::Unreadable { .. } => None,
        }
    }

    /// Whether what was asked for does not exist.
    pub fn is_absent(&self) -> bool {
        // ENODEV: a file of a cgroup that is being removed.
        matches!(self.errno(), Some(libc::ENOENT | libc::ENODEV))
    }
}

/// An open directory and the path it was opened by, for messages.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory, following links: for roots that an operator names.
    pub(crate) fn open(path: &Path) -> Result<Self, CgroupError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty()).map_err(access("open", path))?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// Opens a directory in this one; a link is refused.
    pub(crate) fn child(&self, name: &str) -> Result<Self, CgroupError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, name, flags, Mode::empty()).map_err(access("open", &path))?;
        Ok(Self { fd, path })
    }

    /// Makes a directory in this one, or finds it there; says whether it is new.
    pub(crate) fn make(&self, name: &str) -> Result<bool, CgroupError> {
        match fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(access("make", &self.path.join(name))(errno)),
        }
    }

    /// Removes an empty directory in this one; it is no error if there is none.
    pub(crate) fn remove(&self, name: &str) -> Result<(), CgroupError> {
        match fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(access("remove", &self.path.join(name))(errno)),
        }
    }

    /// Names of the directories in this one, in order.
    pub(crate) fn children(&self) -> Result<Vec<String>, CgroupError> {
        let entries = fs::Dir::read_from(&self.fd).map_err(access("list", &self.path))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(access("list", &self.path))?;
            let name = entry.file_name().to_string_lossy();
            if entry.file_type() == fs::FileType::Directory && name != "." && name != ".." {
                names.push(name.into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Whether a file is in this directory.
    pub(crate) fn has(&self, file: &str) -> bool {
        fs::accessat(&self.fd, file, fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Writes a value to a kernel file, in one write as the kernel wants it.
    pub(crate) fn write(&self, file: &str, value: &str) -> Result<(), CgroupError> {
        let path = self.path.join(file);
        let failed = |errno: Errno| CgroupError::Write {
            value: value.to_owned(),
            path: path.clone(),
            source: errno.into(),
        };
        let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, file, flags, Mode::empty()).map_err(failed)?;
        rustix::io::write(fd, value.as_bytes())
            .map(drop)
            .map_err(failed)
    }

    /// Reads a kernel file.
    pub(crate) fn read(&self, file: &str) -> Result<String, CgroupError> {
        let path = self.path.join(file);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, file, flags, Mode::empty()).map_err(access("open", &path))?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while bytes.len() < FILE_MAX_BYTES {
            match rustix::io::read(&fd, &mut buffer).map_err(access("read", &path))? {
                0 => break,
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reads a kernel file that holds one number.
    pub(crate) fn number(&self, file: &str) -> Result<u64, CgroupError> {
        self.read(file)?
            .trim()
            .parse()
            .map_err(|_| CgroupError::Unreadable {
                what: "number",
                path: self.path.join(file),
            })
    }

    /// Reads the number behind a key in a kernel file of `key number` lines.
    pub(crate) fn keyed(&self, file: &str, key: &'static str) -> Result<u64, CgroupError> {
        let text = self.read(file)?;
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(name, _)| *name == key)
            .and_then(|(_, number)| number.trim().parse().ok())
            .ok_or_else(|| CgroupError::Unreadable {
                what: key,
                path: self.path.join(file),
            })
    }

    /// Sets an extended attribute of this directory.
    pub(crate) fn set_attribute(&self, name: &str, value: &[u8]) -> Result<(), CgroupError> {
        fs::fsetxattr(&self.fd, name, value, XattrFlags::empty())
            .map_err(access("set the descriptor of", &self.path))
    }

    /// An extended attribute of this directory, if it has it.
    pub(crate) fn attribute(&self, name: &str) -> Result<Option<Vec<u8>>, CgroupError> {
        let mut value = vec![0; ATTRIBUTE_MAX_BYTES];
        match fs::fgetxattr(&self.fd, name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(access("read the descriptor of", &self.path)(errno)),
        }
    }

    /// The kernel's number for the file system this directory is on.
    pub(crate) fn magic(&self) -> Result<i64, CgroupError> {
        let found = fs::fstatfs(&self.fd).map_err(access("examine", &self.path))?;
        Ok(found.f_type)
    }

    /// The path it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn access(action: &'static str, path: &Path) -> impl Fn(Errno) -> CgroupError + use<> {
    let path = path.to_owned();
    move |errno| CgroupError::Access {
        action,
        path: path.clone(),
        source: errno.into(),
    }
}
