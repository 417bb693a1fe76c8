//! What exists on a node and what it has used, from and to the wire.

use super::{
    Fields, Violations,
    enums::{LEVELS, cause_to_wire, level_to_wire, slice_state_to_wire},
    node::ID_MAX_BYTES,
    time::{timestamp, wall},
};
use crate::v1;
use dovetail_model::{
    id::{Epoch, Revision, SliceId, Term},
    node::SLICES_MAX,
    report::{
        ExitCause, ExitRecord, SliceReport, SliceState, SliceStatus, SliceUsage, TAIL_MAX_BYTES,
    },
    time::WallNs,
    units::Bytes,
};
use std::collections::BTreeSet;

/// Most slices in a report. A node full of slices whose ends are not acknowledged yet may already
/// have been granted as many again.
pub const REPORT_SLICES_MAX: usize = 2 * SLICES_MAX;
/// Most foreign slices named; more are counted by nobody.
const ORPHANED_MAX: usize = SLICES_MAX;
/// Longest text of a failed start.
const MESSAGE_MAX_BYTES: usize = 4096;
/// What a slice's spelling looks like.
pub(super) const SLICE_EXAMPLE: &str = "w12-1-0";

/// Reads a node's report of its slices.
pub fn slice_report(wire: v1::SliceReport) -> Result<SliceReport, Violations> {
    let mut fields = Fields::at("slices");
    let report = read_report(wire, &mut fields);
    fields.finish(report)
}

fn read_report(wire: v1::SliceReport, fields: &mut Fields) -> Option<SliceReport> {
    let slices = read_statuses(wire.slices, fields);
    let orphaned = fields.count("orphaned", wire.orphaned.len(), ORPHANED_MAX);
    let orphaned = orphaned.and_then(|()| {
        fields.each("orphaned", wire.orphaned, |fields, name| {
            fields.filled_line("", &name, ID_MAX_BYTES).map(|()| name)
        })
    });
    Some(SliceReport {
        obeyed: Epoch {
            term: Term(wire.term),
            revision: Revision(wire.revision),
        },
        slices: slices?,
        orphaned: orphaned?,
    })
}

fn read_statuses(wire: Vec<v1::SliceStatus>, fields: &mut Fields) -> Option<Vec<SliceStatus>> {
    fields.count("slices", wire.len(), REPORT_SLICES_MAX)?;
    let mut seen = BTreeSet::new();
    fields.each("slices", wire, |fields, status| {
        let status = read_status(status, fields)?;
        if !seen.insert(status.slice) {
            fields.bad("slice_id", "is reported twice");
            return None;
        }
        Some(status)
    })
}

fn read_status(wire: v1::SliceStatus, fields: &mut Fields) -> Option<SliceStatus> {
    let slice = fields.parsed("slice_id", &wire.slice_id, SLICE_EXAMPLE);
    let level = fields.choice("level", wire.level, &LEVELS);
    let state = match v1::SliceState::try_from(wire.state) {
        Ok(v1::SliceState::Waiting) => Some(SliceState::Waiting),
        Ok(v1::SliceState::Starting) => Some(SliceState::Starting),
        Ok(v1::SliceState::Running) => Some(SliceState::Running),
        Ok(v1::SliceState::Stopping) => Some(SliceState::Stopping),
        Ok(v1::SliceState::Exited) => fields
            .required("exit", wire.exit)
            .and_then(|exit| fields.within("exit", |fields| read_exit(exit, fields)))
            .map(SliceState::Exited),
        Ok(v1::SliceState::Unspecified) | Err(_) => {
            let number = wire.state;
            fields.bad("state", format!("must be a state of a slice, got {number}"));
            None
        }
    };
    Some(SliceStatus {
        slice: slice?,
        state: state?,
        level: level?,
    })
}

/// Reads how a process ended.
pub fn exit_record(wire: v1::ExitRecord) -> Result<ExitRecord, Violations> {
    let mut fields = Fields::at("exit");
    let record = read_exit(wire, &mut fields);
    fields.finish(record)
}

fn read_exit(wire: v1::ExitRecord, fields: &mut Fields) -> Option<ExitRecord> {
    let started_at = match wire.started_at {
        None => Some(None),
        Some(at) => read_wall("started_at", &at, fields).map(Some),
    };
    let ended_at = fields
        .required("ended_at", wire.ended_at)
        .and_then(|at| read_wall("ended_at", &at, fields));
    let cause = read_cause(wire.cause, wire.code, wire.signal, wire.message, fields);
    Some(ExitRecord {
        cause: cause?,
        started_at: started_at?,
        ended_at: ended_at?,
        // Cut, not refused: an end that is refused is never acknowledged.
        output_tail: last_bytes(&wire.output_tail, TAIL_MAX_BYTES).to_owned(),
    })
}

fn read_wall(field: &str, at: &prost_types::Timestamp, fields: &mut Fields) -> Option<WallNs> {
    let moment = wall(at);
    if moment.is_none() {
        fields.bad(field, "must be a moment from 1970 to 2554");
    }
    moment
}

fn read_cause(
    cause: i32,
    code: i32,
    signal: i32,
    message: String,
    fields: &mut Fields,
) -> Option<ExitCause> {
    Some(match v1::Cause::try_from(cause) {
        Ok(v1::Cause::Exit) => ExitCause::Exit(fields.range("code", code, &(0..=255))?),
        Ok(v1::Cause::Signal) => ExitCause::Signal(fields.range("signal", signal, &(1..=64))?),
        Ok(v1::Cause::Oom) => ExitCause::Oom,
        Ok(v1::Cause::Timeout) => ExitCause::Timeout,
        Ok(v1::Cause::StartFailed) => {
            ExitCause::StartFailed(first_bytes(&message, MESSAGE_MAX_BYTES).to_owned())
        }
        Ok(v1::Cause::NodeLost) => ExitCause::NodeLost,
        Ok(v1::Cause::Evicted) => ExitCause::Evicted,
        Ok(v1::Cause::Unspecified) | Err(_) => {
            fields.bad("cause", format!("must be a cause of an end, got {cause}"));
            return None;
        }
    })
}

/// The first bytes of a text, cut between characters.
fn first_bytes(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// The last bytes of a text, cut between characters.
fn last_bytes(text: &str, max: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(max))..]
}

/// A node's report of its slices, on the wire.
pub fn slice_report_to_wire(report: &SliceReport) -> v1::SliceReport {
    v1::SliceReport {
        term: report.obeyed.term.0,
        revision: report.obeyed.revision.0,
        slices: report.slices.iter().map(status_to_wire).collect(),
        orphaned: report.orphaned.iter().take(ORPHANED_MAX).cloned().collect(),
    }
}

fn status_to_wire(status: &SliceStatus) -> v1::SliceStatus {
    let exit = match &status.state {
        SliceState::Exited(record) => Some(exit_record_to_wire(record)),
        _ => None,
    };
    v1::SliceStatus {
        slice_id: status.slice.to_string(),
        state: slice_state_to_wire(&status.state).into(),
        exit,
        level: level_to_wire(status.level).into(),
    }
}

/// How a process ended, on the wire.
pub fn exit_record_to_wire(record: &ExitRecord) -> v1::ExitRecord {
    let (code, signal, message) = match &record.cause {
        ExitCause::Exit(code) => (*code, 0, ""),
        ExitCause::Signal(signal) => (0, *signal, ""),
        ExitCause::StartFailed(why) => (0, 0, first_bytes(why, MESSAGE_MAX_BYTES)),
        _ => (0, 0, ""),
    };
    v1::ExitRecord {
        cause: cause_to_wire(&record.cause).into(),
        code,
        signal,
        message: message.to_owned(),
        started_at: record.started_at.map(timestamp),
        ended_at: Some(timestamp(record.ended_at)),
        output_tail: last_bytes(&record.output_tail, TAIL_MAX_BYTES).to_owned(),
    }
}

/// Reads what slices have used.
pub fn usage(wire: v1::Usage) -> Result<Vec<SliceUsage>, Violations> {
    let mut fields = Fields::at("usage");
    let counted = fields.count("slices", wire.slices.len(), REPORT_SLICES_MAX);
    let rows = counted.and_then(|()| fields.each("slices", wire.slices, read_usage));
    fields.finish(rows)
}

fn read_usage(fields: &mut Fields, wire: v1::SliceUsage) -> Option<SliceUsage> {
    let slice: SliceId = fields.parsed("slice_id", &wire.slice_id, SLICE_EXAMPLE)?;
    Some(SliceUsage {
        slice,
        cpu_ns: wire.cpu_ns,
        elapsed_ns: wire.elapsed_ns,
        memory: Bytes(wire.memory_bytes),
    })
}

/// What slices have used, on the wire.
pub fn usage_to_wire(rows: &[SliceUsage]) -> v1::Usage {
    v1::Usage {
        slices: rows.iter().map(slice_usage_to_wire).collect(),
    }
}

/// What one slice has used, on the wire.
pub fn slice_usage_to_wire(row: &SliceUsage) -> v1::SliceUsage {
    v1::SliceUsage {
        slice_id: row.slice.to_string(),
        cpu_ns: row.cpu_ns,
        elapsed_ns: row.elapsed_ns,
        memory_bytes: row.memory.0,
    }
}

#[cfg(test)]
mod tests;
