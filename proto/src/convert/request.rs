//! Requests as a whole: every bad field of one, the workload's included, in one answer.

use super::{Fields, Violations, fields::shown, workload};
use crate::v1;
use dovetail_model::{
    id::{NodeName, Revision},
    workload::WorkloadSpec,
};

/// Longest request id.
const REQUEST_ID_MAX_BYTES: usize = 128;
/// Longest reason of a cordon.
const REASON_MAX_BYTES: usize = 256;

/// What every change carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// Chosen by the caller; makes a repetition harmless.
    pub request_id: String,
    /// Only check.
    pub validate_only: bool,
    /// Refuse at another revision.
    pub expected_revision: Option<Revision>,
}

/// Reads a submission.
pub fn submit(wire: v1::SubmitWorkloadRequest) -> Result<(Mutation, WorkloadSpec), Violations> {
    let mut fields = Fields::at("");
    let mutation = mutation(
        wire.request_id,
        wire.validate_only,
        wire.expected_revision,
        &mut fields,
    );
    let spec = required_spec(wire.workload, &mut fields);
    fields.finish(mutation.zip(spec))
}

/// Reads a what-if.
pub fn plan(wire: v1::PlanPlacementRequest) -> Result<WorkloadSpec, Violations> {
    let mut fields = Fields::at("");
    let spec = required_spec(wire.workload, &mut fields);
    fields.finish(spec)
}

fn required_spec(wire: Option<v1::WorkloadSpec>, fields: &mut Fields) -> Option<WorkloadSpec> {
    let wire = fields.required("workload", wire)?;
    fields.within("workload", |fields| workload::read(wire, fields))
}

/// Reads a cancellation: the change and the workload's id or name.
pub fn cancel(wire: v1::CancelWorkloadRequest) -> Result<(Mutation, String), Violations> {
    let mut fields = Fields::at("");
    let mutation = mutation(
        wire.request_id,
        wire.validate_only,
        wire.expected_revision,
        &mut fields,
    );
    let id = fields.name("id", &wire.id).map(|name| name.to_string());
    fields.finish(mutation.zip(id))
}

/// Reads a cordon: the change, the node and the operator's reason.
pub fn cordon(wire: v1::CordonNodeRequest) -> Result<(Mutation, NodeName, String), Violations> {
    let mut fields = Fields::at("");
    let mutation = mutation(
        wire.request_id,
        wire.validate_only,
        wire.expected_revision,
        &mut fields,
    );
    let node = fields.name("name", &wire.name);
    let reason = fields.line("reason", &wire.reason, REASON_MAX_BYTES);
    let all = mutation
        .zip(node)
        .zip(reason)
        .map(|((mutation, node), ())| (mutation, node, wire.reason));
    fields.finish(all)
}

/// Reads the end of a cordon.
pub fn uncordon(wire: v1::UncordonNodeRequest) -> Result<(Mutation, NodeName), Violations> {
    let mut fields = Fields::at("");
    let mutation = mutation(
        wire.request_id,
        wire.validate_only,
        wire.expected_revision,
        &mut fields,
    );
    let node = fields.name("name", &wire.name);
    fields.finish(mutation.zip(node))
}

/// Reads which node to give up.
pub fn forget(wire: v1::ForgetNodeRequest) -> Result<(Mutation, NodeName), Violations> {
    let mut fields = Fields::at("");
    let mutation = mutation(
        wire.request_id,
        wire.validate_only,
        wire.expected_revision,
        &mut fields,
    );
    let node = fields.name("name", &wire.name);
    fields.finish(mutation.zip(node))
}

fn mutation(
    request_id: String,
    validate_only: bool,
    expected_revision: u64,
    fields: &mut Fields,
) -> Option<Mutation> {
    let length = request_id.len();
    let printable = request_id
        .bytes()
        .all(|b| b.is_ascii_graphic() || b == b' ');
    if !(1..=REQUEST_ID_MAX_BYTES).contains(&length) || !printable {
        let got = shown(&request_id);
        fields.bad(
            "request_id",
            format!(
                "must be 1 to {REQUEST_ID_MAX_BYTES} printable ASCII bytes, got {length}: {got}"
            ),
        );
        return None;
    }
    Some(Mutation {
        request_id,
        validate_only,
        expected_revision: (expected_revision > 0).then_some(Revision(expected_revision)),
    })
}

/// Reads the id ("w12") or name of one workload: both are names.
pub fn workload_id(field: &str, text: &str) -> Result<String, Violations> {
    let mut fields = Fields::at("");
    let id = fields.name(field, text).map(|name| name.to_string());
    fields.finish(id)
}

/// Reads the name of one node.
pub fn node_name(field: &str, text: &str) -> Result<NodeName, Violations> {
    let mut fields = Fields::at("");
    let name = fields.name(field, text);
    fields.finish(name)
}

/// Reads how many a page shall hold; 0 means the default.
pub fn page_size(wire: u32, default: u32, max: u32) -> Result<usize, Violations> {
    let mut fields = Fields::at("");
    let size = if wire == 0 { default } else { wire };
    let size = fields
        .range("page_size", size, &(1..=max))
        .and_then(|size| usize::try_from(size).ok());
    fields.finish(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_names_its_own_bad_fields_and_the_workloads() {
        let wire = v1::SubmitWorkloadRequest {
            request_id: String::new(),
            workload: Some(v1::WorkloadSpec::default()),
            ..Default::default()
        };
        let fields: Vec<String> = submit(wire)
            .unwrap_err()
            .0
            .into_iter()
            .map(|v| v.field)
            .collect();
        assert_eq!(
            fields,
            [
                "request_id",
                "workload.name",
                "workload.kind",
                "workload.argv",
                "workload.resources"
            ]
        );
    }

    #[test]
    fn a_submission_without_a_workload_says_so() {
        let wire = v1::SubmitWorkloadRequest {
            request_id: "r".repeat(129),
            ..Default::default()
        };
        let violations = submit(wire).unwrap_err().0;
        assert_eq!(violations[0].field, "request_id");
        assert_eq!(violations[1].to_string(), "`workload` is required");
    }

    #[test]
    fn changes_carry_their_conditions() {
        let wire = v1::CordonNodeRequest {
            request_id: "r 1".to_owned(),
            name: "n1".to_owned(),
            reason: "bad fan".to_owned(),
            validate_only: true,
            expected_revision: 7,
        };
        let (mutation, node, reason) = cordon(wire).unwrap();
        assert_eq!((node.as_str(), reason.as_str()), ("n1", "bad fan"));
        assert!(mutation.validate_only);
        assert_eq!(mutation.expected_revision, Some(Revision(7)));
        let bad = v1::CordonNodeRequest {
            request_id: "a\nb".to_owned(),
            reason: "\u{1b}[31m".to_owned(),
            ..Default::default()
        };
        let fields: Vec<String> = cordon(bad)
            .unwrap_err()
            .0
            .into_iter()
            .map(|v| v.field)
            .collect();
        assert_eq!(fields, ["request_id", "name", "reason"]);
    }

    #[test]
    fn pages_have_a_default_and_a_bound() {
        assert_eq!(page_size(0, 100, 1000), Ok(100));
        assert_eq!(page_size(7, 100, 1000), Ok(7));
        let text = page_size(1001, 100, 1000).unwrap_err().to_string();
        assert_eq!(text, "`page_size` must be 1 to 1000, got 1001");
    }

    #[test]
    fn ids_and_names_are_names() {
        assert_eq!(workload_id("id", "w12"), Ok("w12".to_owned()));
        assert!(workload_id("id", "").is_err() && node_name("name", "A/../b").is_err());
    }
}
