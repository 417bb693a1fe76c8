//! How a slice ended, and writing that down so that it cannot be lost.

use super::{child::StartFailure, log};
use crate::enforce::{
    output::Stream,
    record::{Ending, RecordDirectory},
    tree::Usage,
};
use crate::{clock, telemetry::chain};
use dovetail_model::report::{ExitCause, ExitRecord, TAIL_MAX_BYTES};
use std::{collections::VecDeque, io, thread, time::Duration};

/// How often a record that cannot be written is tried again, and how long in between: the slice
/// counts as running until then.
const WRITE_ATTEMPTS: u32 = 60;
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// The end of a slice whose process never ran.
pub(super) fn not_started(failure: &StartFailure) -> Ending {
    let record = ExitRecord {
        cause: ExitCause::StartFailed(failure.to_string()),
        started_at: None,
        ended_at: clock::now().wall(),
        output_tail: String::new(),
    };
    Ending {
        record,
        usage: Usage::default(),
        elapsed_ns: 0,
    }
}

/// Makes the record durable.
pub(super) fn write(record: &RecordDirectory, ending: &Ending) -> io::Result<()> {
    let mut attempt = 1;
    loop {
        match record.write_exit(ending) {
            Ok(()) => return Ok(()),
            Err(error) if attempt >= WRITE_ATTEMPTS => return Err(io::Error::other(error)),
            Err(error) => log(&format!("{}; trying again", chain(&error))),
        }
        attempt += 1;
        thread::sleep(WRITE_PAUSE);
    }
}

/// Why the supervisor itself ends a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopReason {
    /// The agent wants it.
    Asked,
    /// It has run as long as it may.
    Timeout,
}

/// How the first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It returned a code.
    Code(i32),
    /// A signal killed it.
    Signal(i32),
}

/// One cause from what is known: the kernel's own count comes first, then who wanted the end.
pub(super) fn cause(status: Status, stopped: Option<StopReason>, oom_kills: u64) -> ExitCause {
    match (oom_kills, stopped, status) {
        (1.., ..) => ExitCause::Oom,
        (0, Some(StopReason::Timeout), _) => ExitCause::Timeout,
        (0, Some(StopReason::Asked), _) => ExitCause::Evicted,
        (0, None, Status::Code(code)) => ExitCause::Exit(code),
        (0, None, Status::Signal(signal)) => ExitCause::Signal(signal),
    }
}

/// The last bytes of both outputs. They are kept apart, so that a flood on one does not wash away
/// what the other said last.
#[derive(Debug, Default)]
pub(super) struct Tails {
    stdout: VecDeque<u8>,
    stderr: VecDeque<u8>,
}

impl Tails {
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let tail = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        tail.extend(&bytes[bytes.len().saturating_sub(TAIL_MAX_BYTES)..]);
        let excess = tail.len().saturating_sub(TAIL_MAX_BYTES);
        tail.drain(..excess);
    }

    /// Standard output, then standard error, as text of at most the record's size: half of it is
    /// each one's, and more if the other leaves room.
    pub(super) fn text(&self) -> String {
        let (stdout, stderr) = (lossy(&self.stdout), lossy(&self.stderr));
        let half = TAIL_MAX_BYTES / 2;
        let for_stderr = half.max(TAIL_MAX_BYTES.saturating_sub(stdout.len()));
        let errors = end_of(&stderr, for_stderr);
        format!("{}{errors}", end_of(&stdout, TAIL_MAX_BYTES - errors.len()))
    }
}

fn lossy(bytes: &VecDeque<u8>) -> String {
    let bytes: Vec<u8> = bytes.iter().copied().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last bytes of a text; a character cut at the front is dropped.
fn end_of(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].trim_start_matches('\u{fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_count_tells_an_oom_from_a_kill() {
        let killed = Status::Signal(9);
        assert_eq!(cause(killed, None, 0), ExitCause::Signal(9));
        assert_eq!(cause(killed, None, 1), ExitCause::Oom);
        assert_eq!(
            cause(killed, Some(StopReason::Timeout), 0),
            ExitCause::Timeout
        );
        assert_eq!(
            cause(Status::Code(0), Some(StopReason::Asked), 0),
            ExitCause::Evicted
        );
        assert_eq!(cause(Status::Code(3), None, 0), ExitCause::Exit(3));
    }

    #[test]
    fn a_tail_is_the_newest_bytes_and_whole_characters() {
        let mut tails = Tails::default();
        tails.push(Stream::Stdout, &[b'x'; 10_000]);
        tails.push(Stream::Stdout, "ü".repeat(TAIL_MAX_BYTES).as_bytes());
        tails.push(Stream::Stdout, b"end");
        let text = tails.text();
        let length = text.len();
        assert!(
            length > TAIL_MAX_BYTES - 4 && length <= TAIL_MAX_BYTES,
            "{length}"
        );
        assert!(text.ends_with("üend") && text.starts_with('ü'));
    }

    #[test]
    fn a_flood_on_one_output_does_not_wash_the_other_away() {
        let mut tails = Tails::default();
        tails.push(Stream::Stderr, b"trouble\n");
        tails.push(Stream::Stdout, &[b'x'; 100_000]);
        assert!(tails.text().ends_with("xtrouble\n"));
        tails.push(Stream::Stderr, &[b'y'; 100_000]);
        let (half, text) = (TAIL_MAX_BYTES / 2, tails.text());
        assert_eq!(text, "x".repeat(half) + &"y".repeat(half));
    }

    #[test]
    fn bytes_that_are_no_text_do_not_make_the_record_longer() {
        let mut tails = Tails::default();
        tails.push(Stream::Stdout, &[0xff; 5000]);
        tails.push(Stream::Stderr, &[0xff; 5000]);
        assert!(tails.text().len() <= TAIL_MAX_BYTES);
    }
}
