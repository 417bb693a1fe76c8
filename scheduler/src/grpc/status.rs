//! The one map from what the scheduler answers to gRPC statuses, with details for programs.

use crate::{drive::AskError, journal::ReplayError, sessions::ReadError};
use dovetail_core::{effect::Refusal, explain::Explanation};
use dovetail_model::reason::Reason;
use dovetail_proto::convert::Violations;
use std::{collections::HashMap, time::Duration};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// Whose reasons these are.
const DOMAIN: &str = "dovetail";
/// When to try again after something that passes by itself.
const RETRY_SOON: Duration = Duration::from_millis(500);
/// When to try again after something that people or running work must change first.
const RETRY_LATER: Duration = Duration::from_secs(10);
/// Nodes' reasons named in a message.
const COUNTS_SHOWN: usize = 4;

fn status(code: Code, message: impl Into<String>, details: ErrorDetails) -> Status {
    Status::with_error_details(code, message, details)
}

fn reason(token: &str, metadata: &[(&str, String)]) -> ErrorDetails {
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    ErrorDetails::with_error_info(token, DOMAIN, metadata)
}

/// A refusal: nothing has changed.
pub(super) fn refusal(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Invalid(fields) => invalid(fields),
        Refusal::NotFound { what, name } => not_found(what, &name),
        Refusal::NameTaken { name, by } => {
            let mut details = reason("NAME_TAKEN", &[("workload", by.to_string())]);
            details.set_resource_info(
                "workload",
                name.to_string(),
                "",
                "has this name and is alive",
            );
            let text = format!(
                "the live workload {by} is named `{name}`; choose another name, or cancel it first"
            );
            status(Code::AlreadyExists, text, details)
        }
        Refusal::RequestIdReused { request_id } => {
            let mut details = reason(
                "IDEMPOTENCY_KEY_REUSED",
                &[("request_id", request_id.clone())],
            );
            details.set_resource_info(
                "request",
                request_id.clone(),
                "",
                "was used with another body",
            );
            let text = format!(
                "request_id `{request_id}` was used with another body; choose a fresh one for \
                 another request"
            );
            status(Code::AlreadyExists, text, details)
        }
        Refusal::NeverFits(explanation) => never_fits(&explanation),
        Refusal::Precondition { kind, subject, why } => precondition(kind, &subject, &why),
        Refusal::RevisionMoved { expected, actual } => {
            let revisions = [
                ("expected", expected.to_string()),
                ("actual", actual.to_string()),
            ];
            let mut details = reason("REVISION_MOVED", &revisions);
            details.set_retry_info(Some(Duration::ZERO));
            let text = format!(
                "the scheduler is at revision {actual}, not {expected}; look again, then decide again"
            );
            status(Code::Aborted, text, details)
        }
        Refusal::QueueFull { limit } => {
            let text = format!(
                "{limit} workloads wait already, the most that may (limits.max_pending); try later"
            );
            let mut details = reason("QUEUE_FULL", &[("limit", limit.to_string())]);
            details.add_quota_failure_violation("limits.max_pending", text.clone());
            details.set_retry_info(Some(RETRY_LATER));
            status(Code::ResourceExhausted, text, details)
        }
        Refusal::Denied { verb, why } => denied(verb, &why),
    }
}

/// No answer came from the engine.
pub(super) fn unanswered(error: AskError) -> Status {
    let text = error.to_string();
    let (code, token, retry) = match error {
        AskError::Busy => (Code::ResourceExhausted, "OVERLOADED", RETRY_SOON),
        AskError::Overdue => (Code::DeadlineExceeded, "OVERDUE", RETRY_SOON),
        AskError::DiskLow => (Code::Unavailable, "DISK_NEARLY_FULL", RETRY_LATER),
        AskError::DiskFull => (Code::Unavailable, "DISK_FULL", RETRY_LATER),
        AskError::Stopping => (Code::Unavailable, "STOPPING", RETRY_SOON),
    };
    let mut details = reason(token, &[]);
    details.set_retry_info(Some(retry));
    status(code, text, details)
}

/// Bad fields: all of them.
pub(super) fn violations(violations: Violations) -> Status {
    let fields = violations.0.into_iter().map(|v| (v.field, v.description));
    invalid(fields.collect())
}

fn invalid(fields: Vec<(String, String)>) -> Status {
    let texts: Vec<String> = fields
        .iter()
        .map(|(field, text)| format!("`{field}`: {text}"))
        .collect();
    let fields: Vec<FieldViolation> = fields
        .into_iter()
        .map(|(field, description)| FieldViolation::new(field, description))
        .collect();
    let mut details = reason("INVALID_FIELDS", &[("fields", fields.len().to_string())]);
    details.set_bad_request(fields);
    // The details have every field; the message is for people and travels in a header.
    let shown = texts.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    let more = texts.len().saturating_sub(3);
    let text = if more > 0 {
        format!("{shown}; and {more} more")
    } else {
        shown
    };
    status(Code::InvalidArgument, text, details)
}

/// There is no such thing, as far as the caller may know.
pub(super) fn not_found(what: &str, name: &str) -> Status {
    let mut details = reason("NOT_FOUND", &[(what, name.to_owned())]);
    details.set_resource_info(what, name, "", "does not exist, or is not yours");
    let hint = match what {
        "workload" => "; `dovetail ps --all` lists yours",
        "node" => "; `dovetail node list` lists them",
        _ => "",
    };
    status(
        Code::NotFound,
        format!("there is no {what} `{name}`{hint}"),
        details,
    )
}

/// The state does not allow it.
pub(super) fn precondition(kind: &str, subject: &str, why: &str) -> Status {
    let mut details = reason(kind, &[("subject", subject.to_owned())]);
    // A GPU that another node has is a thing that exists already, as the contract says.
    let code = if kind == "DUPLICATE_DEVICE" {
        details.set_resource_info("gpu", subject, "", why);
        Code::AlreadyExists
    } else {
        details.add_precondition_failure_violation(kind, subject, why);
        Code::FailedPrecondition
    };
    status(code, format!("{subject}: {why}"), details)
}

/// The caller may not do this.
pub(super) fn denied(verb: &str, why: &str) -> Status {
    let details = reason("DENIED", &[("verb", verb.to_owned())]);
    status(
        Code::PermissionDenied,
        format!("you may not {verb}: {why}"),
        details,
    )
}

/// No node could ever hold it, so it would wait for ever.
fn never_fits(explanation: &Explanation) -> Status {
    let counts = explanation.counts.iter().take(COUNTS_SHOWN);
    let counts: Vec<String> = counts
        .map(|(token, nodes)| format!("{token} on {nodes}"))
        .collect();
    let main = explanation.reason.as_ref();
    let why = main.map_or_else(|| "it fits no node".to_owned(), ToString::to_string);
    let text = format!(
        "no node could hold this, even empty: {why} ({}); it needs {}",
        counts.join(", "),
        explanation.needs
    );
    let token = main.map_or("NeverFits", Reason::token);
    let mut details = reason("NEVER_FITS", &[("reason", token.to_owned())]);
    let field = match main {
        Some(Reason::NodeLabelMismatch { .. }) => "workload.node_selector",
        Some(Reason::TaintNotTolerated { .. }) => "workload.tolerations",
        _ => "workload.resources",
    };
    details.add_precondition_failure_violation("NEVER_FITS", field, text.clone());
    status(Code::FailedPrecondition, text, details)
}

/// The message is larger than the service takes. tonic says OUT_OF_RANGE for it.
pub(super) fn too_large(message: &str) -> Status {
    let mut details = reason("MESSAGE_TOO_LARGE", &[]);
    let text = format!("the request is larger than this service takes: {message}");
    details.add_quota_failure_violation("message size", text.clone());
    status(Code::ResourceExhausted, text, details)
}

/// Too much is under way at once.
pub(super) fn too_much_at_once(what: &str) -> Status {
    let mut details = reason("OVERLOADED", &[]);
    details.set_retry_info(Some(RETRY_SOON));
    status(
        Code::ResourceExhausted,
        format!("too much at once: {what}; try again"),
        details,
    )
}

/// A piece of output could not be read.
pub(super) fn unread(error: &ReadError) -> Status {
    let code = match error {
        ReadError::Unreachable(_) | ReadError::Overdue(_) => Code::Unavailable,
        ReadError::Busy(_) => Code::ResourceExhausted,
    };
    let mut details = reason("OUTPUT_UNREADABLE", &[]);
    details.set_retry_info(Some(RETRY_SOON));
    status(code, error.to_string(), details)
}

/// The journal does not give the state that is in memory.
pub(super) fn unverified(error: &ReplayError) -> Status {
    let text = error.to_string();
    match error {
        ReplayError::Damaged { sequence, .. } | ReplayError::Event { sequence, .. } => {
            let details = reason("JOURNAL_DAMAGED", &[("sequence", sequence.to_string())]);
            status(Code::DataLoss, text, details)
        }
        ReplayError::Form { .. } => status(Code::DataLoss, text, reason("JOURNAL_FORM", &[])),
        ReplayError::Read { .. } | ReplayError::Dropped { .. } => {
            let mut details = reason("JOURNAL_UNREADABLE", &[]);
            details.set_retry_info(Some(RETRY_SOON));
            status(Code::Unavailable, text, details)
        }
    }
}

/// A defect: an answer of the wrong kind.
pub(super) fn mismatched(what: &'static str) -> Status {
    tracing::error!(what, "the engine gave an answer of the wrong kind");
    status(
        Code::Internal,
        "the scheduler has a defect; its log says more",
        reason("DEFECT", &[]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_core::effect::Refusal;
    use dovetail_model::id::{Name, Revision, WorkloadId};

    #[test]
    fn every_bad_field_is_in_the_details() {
        let fields = (0..5)
            .map(|n| (format!("f{n}"), "is wrong".to_owned()))
            .collect();
        let status = refusal(Refusal::Invalid(fields));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(
            status.message().ends_with("; and 2 more"),
            "{}",
            status.message()
        );
        let details = status.get_error_details();
        assert_eq!(details.bad_request().unwrap().field_violations.len(), 5);
    }

    #[test]
    fn refusals_have_the_promised_codes_and_tokens() {
        let name = Name::new("a").unwrap();
        let cases = [
            (
                Refusal::NotFound {
                    what: "node",
                    name: "n".to_owned(),
                },
                Code::NotFound,
                "NOT_FOUND",
            ),
            (
                Refusal::NameTaken {
                    name,
                    by: WorkloadId(1),
                },
                Code::AlreadyExists,
                "NAME_TAKEN",
            ),
            (
                Refusal::RequestIdReused {
                    request_id: "r".to_owned(),
                },
                Code::AlreadyExists,
                "IDEMPOTENCY_KEY_REUSED",
            ),
            (
                Refusal::Precondition {
                    kind: "NODE_STATE",
                    subject: "n".to_owned(),
                    why: "up".to_owned(),
                },
                Code::FailedPrecondition,
                "NODE_STATE",
            ),
            (
                Refusal::RevisionMoved {
                    expected: Revision(1),
                    actual: Revision(2),
                },
                Code::Aborted,
                "REVISION_MOVED",
            ),
            (
                Refusal::QueueFull { limit: 3 },
                Code::ResourceExhausted,
                "QUEUE_FULL",
            ),
            (
                Refusal::Denied {
                    verb: "fly",
                    why: "no wings".to_owned(),
                },
                Code::PermissionDenied,
                "DENIED",
            ),
        ];
        for (refused, code, token) in cases {
            let status = refusal(refused);
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((status.code(), info.reason.as_str()), (code, token));
            assert_eq!(info.domain, DOMAIN);
        }
    }

    #[test]
    fn what_passes_by_itself_says_when_to_try_again() {
        for error in [
            AskError::Busy,
            AskError::DiskFull,
            AskError::DiskLow,
            AskError::Stopping,
        ] {
            assert!(unanswered(error).get_error_details().retry_info().is_some());
        }
    }
}
