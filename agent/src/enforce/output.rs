//! A stream of output in two files of bounded size: the older one goes when the newer is full.
//!
//! A file's name holds the offset of its first byte in the whole stream, so that readers and a
//! supervisor need no other record of what was dropped.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Most bytes that one read gives.
pub(crate) const READ_MAX_BYTES: u64 = 1 << 20;

/// One of a slice's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where in the whole stream the piece begins; later than asked if the rest is dropped.
    pub offset: u64,
    /// The piece.
    pub bytes: Vec<u8>,
    /// Length of the whole stream so far.
    pub end: u64,
}

/// Writes one stream.
#[derive(Debug)]
pub(crate) struct OutputWriter {
    directory: PathBuf,
    stream: Stream,
    file_max_bytes: u64,
    file: File,
    start: u64,
    length: u64,
}

impl OutputWriter {
    /// Opens a stream's first file. All files together stay within `max_bytes`.
    pub(crate) fn create(directory: &Path, stream: Stream, max_bytes: u64) -> io::Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            stream,
            file_max_bytes: (max_bytes / 2).max(1),
            file: create(directory, stream, 0)?,
            start: 0,
            length: 0,
        })
    }

    /// Appends; what a full disk does not take is lost, and the error says so.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.length >= self.file_max_bytes {
                self.rotate()?;
            }
            let room = self.file_max_bytes - self.length;
            let take = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
            let written = self.file.write(&bytes[..take])?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.length += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let next = self.start + self.length;
        let full = self.start;
        self.file = create(&self.directory, self.stream, next)?;
        (self.start, self.length) = (next, 0);
        for (start, path) in files(&self.directory, self.stream)? {
            if start < full {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Reads at most `max` bytes of a stream from an offset, or that far from its end.
pub(crate) fn read(
    directory: &Path,
    stream: Stream,
    offset: u64,
    max: u64,
    from_end: bool,
) -> io::Result<Chunk> {
    // A file can be dropped between listing and opening: then the list is made again.
    for _ in 0..READ_ATTEMPTS {
        match read_once(directory, stream, offset, max.min(READ_MAX_BYTES), from_end) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    Ok(Chunk {
        offset,
        bytes: Vec::new(),
        end: 0,
    })
}

/// The writer drops a file only after it has filled another.
const READ_ATTEMPTS: u32 = 3;

fn read_once(
    directory: &Path,
    stream: Stream,
    offset: u64,
    max: u64,
    from_end: bool,
) -> io::Result<Chunk> {
    let mut opened = Vec::new();
    for (start, path) in files(directory, stream)? {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        opened.push((start, length, file));
    }
    let first = opened.first().map_or(0, |(start, ..)| *start);
    let end = opened.last().map_or(0, |(start, length, _)| start + length);
    let wanted = if from_end {
        end.saturating_sub(offset)
    } else {
        offset
    };
    let from = wanted.clamp(first, end);
    let mut bytes = Vec::new();
    for (start, length, file) in opened {
        let at = from + bytes.len() as u64;
        let left = max - bytes.len() as u64;
        let count = (start + length).saturating_sub(at).min(left);
        if at >= start && count > 0 {
            let mut piece = vec![0; usize::try_from(count).map_err(io::Error::other)?];
            file.read_exact_at(&mut piece, at - start)?;
            bytes.extend(piece);
        }
    }
    Ok(Chunk {
        offset: from,
        bytes,
        end,
    })
}

fn create(directory: &Path, stream: Stream, start: u64) -> io::Result<File> {
    let path = directory.join(format!("{stream}.{start:020}"));
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// A stream's files in order of their offsets.
fn files(directory: &Path, stream: Stream) -> io::Result<Vec<(u64, PathBuf)>> {
    let prefix = format!("{stream}.");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let start = name
            .to_str()
            .and_then(|name| name.strip_prefix(&prefix)?.parse().ok());
        found.extend(start.map(|start: u64| (start, entry.path())));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_on_disk(directory: &Path) -> u64 {
        files(directory, Stream::Stdout)
            .unwrap()
            .iter()
            .map(|(_, path)| fs::metadata(path).unwrap().len())
            .sum()
    }

    #[test]
    fn output_keeps_the_newest_bytes_within_its_cap() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = OutputWriter::create(directory.path(), Stream::Stdout, 100).unwrap();
        for number in 0..100 {
            writer
                .write(format!("line {number:03}\n").as_bytes())
                .unwrap();
            assert!(bytes_on_disk(directory.path()) <= 100);
        }
        let all = read(directory.path(), Stream::Stdout, 0, 1000, false).unwrap();
        assert_eq!(all.end, 900);
        assert!(all.offset >= 800 && all.offset + all.bytes.len() as u64 == 900);
        assert!(all.bytes.ends_with(b"line 098\nline 099\n"));
    }

    #[test]
    fn a_reader_goes_on_where_it_was_and_sees_what_it_missed() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = OutputWriter::create(directory.path(), Stream::Stderr, 20).unwrap();
        writer.write(b"0123456789abc").unwrap();
        let read_from = |offset, max, from_end| {
            read(directory.path(), Stream::Stderr, offset, max, from_end).unwrap()
        };
        assert_eq!(read_from(8, 4, false).bytes, b"89ab");
        assert_eq!(read_from(3, 100, true).bytes, b"abc");
        assert_eq!(
            read_from(13, 100, false),
            Chunk {
                offset: 13,
                bytes: Vec::new(),
                end: 13
            }
        );
        writer.write(b"defghijklmnop").unwrap();
        let missed = read_from(8, 100, false);
        assert_eq!((missed.offset, missed.end), (10, 26));
        assert_eq!(missed.bytes, b"abcdefghijklmnop");
    }

    #[test]
    fn a_stream_without_output_reads_empty() {
        let directory = tempfile::tempdir().unwrap();
        let chunk = read(directory.path(), Stream::Stdout, 5, 10, true).unwrap();
        assert_eq!(
            chunk,
            Chunk {
                offset: 0,
                bytes: Vec::new(),
                end: 0
            }
        );
    }
}
