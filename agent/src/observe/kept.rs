//! A file of the kernel that is read again and again: opened once, read into one buffer.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// More than any file read here has; `/proc/stat` of 4 096 CPUs has 400 KB.
const MAX_BYTES: usize = 1 << 20;

/// An open file and its buffer.
#[derive(Debug)]
pub(super) struct KeptFile {
    file: File,
    buffer: Vec<u8>,
}

impl KeptFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            buffer: vec![0; 4096],
        })
    }

    /// The whole file as it is now.
    pub(super) fn read(&mut self) -> io::Result<&str> {
        let mut length = 0;
        loop {
            let offset = u64::try_from(length).unwrap_or(u64::MAX);
            match self.file.read_at(&mut self.buffer[length..], offset) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if length == self.buffer.len() {
                if length >= MAX_BYTES {
                    return Err(io::ErrorKind::FileTooLarge.into());
                }
                self.buffer.resize(length * 2, 0);
            }
        }
        text(&self.buffer[..length])
    }

    /// The first 4 096 bytes at most: enough for the first lines, without copying the rest.
    pub(super) fn read_beginning(&mut self) -> io::Result<&str> {
        let length = self.file.read_at(&mut self.buffer[..4096], 0)?;
        let end = self.buffer[..length].iter().rposition(|b| *b == b'\n');
        text(&self.buffer[..end.unwrap_or(length)])
    }
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
