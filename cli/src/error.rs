//! What goes wrong, as `error:`, `reason:` and `help:`, and the exit code it means.

use dovetail_proto::v1::Workload;
use std::{fmt, path::Path};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Exit codes, as `--help` lists them.
pub(crate) mod exit {
    pub(crate) const DONE: u8 = 0;
    pub(crate) const FAILURE: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const NOT_PLACED: u8 = 3;
    pub(crate) const NOT_FOUND: u8 = 4;
    pub(crate) const QUOTA: u8 = 5;
    pub(crate) const DENIED: u8 = 6;
    pub(crate) const UNREACHABLE: u8 = 7;
    pub(crate) const DEADLINE: u8 = 8;
    /// 128 and SIGINT, as shells say it.
    pub(crate) const INTERRUPTED: u8 = 130;
}

/// An error as people read it.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) exit_code: u8,
    message: String,
    reason: Option<String>,
    details: Vec<String>,
    help: Option<String>,
}

impl CliError {
    fn new(exit_code: u8, message: impl Into<String>) -> Self {
        Self {
            exit_code,
            message: message.into(),
            reason: None,
            details: vec![],
            help: None,
        }
    }

    pub(crate) fn failure(message: impl Into<String>) -> Self {
        Self::new(exit::FAILURE, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn deadline(seconds: u64) -> Self {
        Self::new(exit::DEADLINE, format!("no answer within {seconds} s"))
            .help("raise --timeout, or look at the scheduler's log")
    }

    /// What was waited for has not happened.
    pub(crate) fn still(workload: &Workload) -> Self {
        let state = crate::output::state(workload.state());
        Self::new(exit::DEADLINE, format!("{} is still {state}", workload.id)).help(format!(
            "it goes on; look at it with: dovetail get {}",
            workload.id
        ))
    }

    pub(crate) fn unreachable(socket: &Path, error: &tonic::transport::Error) -> Self {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let message = format!(
            "failed to reach the scheduler at {}: {cause}",
            socket.display()
        );
        Self::new(exit::UNREACHABLE, message).help(
            "start it with `systemctl start dovetail-scheduler`, name its socket with --socket or \
             DOVETAIL_SOCKET, or try `dovetail demo --keep`",
        )
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for detail in &self.details {
            write!(f, "\n  {detail}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, "\n  reason: {reason}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl From<Status> for CliError {
    fn from(status: Status) -> Self {
        let mut error = Self::new(exit_code(status.code()), status.message());
        let details = status.get_error_details();
        error.reason = details.error_info().map(|info| info.reason.clone());
        // It answered: it is its disk that is not there.
        if error
            .reason
            .as_ref()
            .is_some_and(|reason| reason.starts_with("DISK_"))
        {
            error.exit_code = exit::FAILURE;
        }
        error.details = violations(&details);
        // One thing that is wrong is in the message already.
        if let [only] = error.details.as_slice()
            && only
                .split_once(": ")
                .is_some_and(|(_, what)| error.message.contains(what))
        {
            error.details.clear();
        }
        if let Some(link) = details.help().and_then(|help| help.links.first()) {
            error.help = Some(link.description.clone());
        } else if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
            error.help = Some(format!("try again in {} ms", delay.as_millis()));
        }
        error
    }
}

/// Everything that is wrong, each with what it is about.
fn violations(details: &ErrorDetails) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(bad) = details.bad_request() {
        let fields = bad.field_violations.iter();
        all.extend(fields.map(|v| format!("{}: {}", v.field, v.description)));
    }
    if let Some(bad) = details.precondition_failure() {
        let states = bad.violations.iter();
        all.extend(states.map(|v| format!("{}: {}", v.subject, v.description)));
    }
    if let Some(bad) = details.quota_failure() {
        let quotas = bad.violations.iter();
        all.extend(quotas.map(|v| format!("{}: {}", v.subject, v.description)));
    }
    all
}

fn exit_code(code: Code) -> u8 {
    match code {
        Code::Ok => exit::DONE,
        Code::InvalidArgument | Code::OutOfRange => exit::USAGE,
        Code::NotFound => exit::NOT_FOUND,
        Code::ResourceExhausted => exit::QUOTA,
        Code::PermissionDenied | Code::Unauthenticated => exit::DENIED,
        Code::Unavailable => exit::UNREACHABLE,
        Code::DeadlineExceeded => exit::DEADLINE,
        Code::Cancelled
        | Code::Unknown
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => exit::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::FieldViolation;

    #[test]
    fn every_bad_field_is_shown() {
        let details = ErrorDetails::with_bad_request(vec![
            FieldViolation::new("workload.name", "is empty"),
            FieldViolation::new("workload.argv", "is empty"),
        ]);
        let status =
            Status::with_error_details(Code::InvalidArgument, "2 fields are wrong", details);
        let error = CliError::from(status);
        assert_eq!(
            error.to_string(),
            "error: 2 fields are wrong\n  workload.name: is empty\n  workload.argv: is empty"
        );
        assert_eq!(error.exit_code, exit::USAGE);
    }
}
