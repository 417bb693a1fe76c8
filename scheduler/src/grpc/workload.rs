//! WorkloadService.

use super::{
    Api, logs,
    show::{
        explanation::explanation,
        workload::{state_from_wire, workload},
    },
    status, workload_ref,
};
use dovetail_core::{
    effect::{Answer, WorkloadView},
    input::{Caller, Filter, Mutation, Request as Ask},
};
use dovetail_model::id::{Name, Revision, WorkloadId};
use dovetail_proto::{
    convert::{Violations, grant::placement_to_wire, request},
    v1,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use tonic::{Request, Response, Status};

/// Workloads on a page if the caller does not say.
const PAGE: u32 = 100;
/// Workloads on a page at most.
const PAGE_MAX: u32 = 1000;
/// Bytes on a page at most: half of what gRPC clients take by default.
const PAGE_MAX_BYTES: usize = 2 << 20;

/// A change as the engine takes it.
pub(super) fn mutation(checked: request::Mutation, digest: String) -> Mutation {
    Mutation {
        request_id: checked.request_id,
        digest,
        validate_only: checked.validate_only,
        expected_revision: checked.expected_revision,
    }
}

/// SHA-256 of a method's name and a body, in hex.
pub(super) fn digest(method: &str, body: &[u8]) -> String {
    let hash = Sha256::new()
        .chain_update(method)
        .chain_update([0])
        .chain_update(body);
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Digest of a submission without its request id. Maps are sorted: the wire has them in any order.
fn submission_digest(wire: &v1::SubmitWorkloadRequest) -> String {
    let mut body = wire.clone();
    body.request_id.clear();
    let spec = body.workload.get_or_insert_default();
    let sorted = |map: &mut HashMap<String, String>| -> BTreeMap<String, String> {
        std::mem::take(map).into_iter().collect()
    };
    let mut maps = vec![sorted(&mut spec.env), sorted(&mut spec.labels)];
    // A body without it keeps the digest it had before there was such a field.
    let node_selector = sorted(&mut spec.node_selector);
    maps.extend((!node_selector.is_empty()).then_some(node_selector));
    let mut bytes = body.encode_length_delimited_to_vec();
    bytes.extend(serde_json::to_vec(&maps).expect("the keys are strings"));
    digest("SubmitWorkload", &bytes)
}

fn one(answer: Answer) -> Result<(Option<Box<WorkloadView>>, Revision), Status> {
    match answer {
        Answer::Workload { workload, revision } => Ok((workload, revision)),
        _ => Err(status::mismatched("one workload was asked for")),
    }
}

impl Api {
    async fn submit(
        &self,
        caller: Caller,
        wire: v1::SubmitWorkloadRequest,
    ) -> Result<v1::SubmitWorkloadResponse, Status> {
        let bytes = u32::try_from(wire.encoded_len()).unwrap_or(u32::MAX);
        let _room = self
            .in_flight
            .try_acquire_many(bytes)
            .map_err(|_| status::too_much_at_once("submissions under way"))?;
        let digest = submission_digest(&wire);
        let (checked, spec) = request::submit(wire).map_err(status::violations)?;
        let owner = self
            .identity
            .owner(&caller, &spec.user)
            .await
            .map_err(status::violations)?;
        let answer = self
            .ask(
                caller,
                Ask::Submit {
                    mutation: mutation(checked, digest),
                    spec: Box::new(spec.clone()),
                    owner: owner.clone(),
                },
            )
            .await?;
        let (view, revision) = one(answer)?;
        let shown = view.map_or_else(
            || v1::Workload {
                spec: Some(dovetail_proto::convert::workload::spec_to_wire(&spec)),
                uid: owner.uid,
                ..v1::Workload::default()
            },
            |view| workload(&view),
        );
        Ok(v1::SubmitWorkloadResponse {
            workload: Some(shown),
            revision: revision.0,
        })
    }

    async fn cancel(
        &self,
        caller: Caller,
        mut wire: v1::CancelWorkloadRequest,
    ) -> Result<v1::CancelWorkloadResponse, Status> {
        let request_id = std::mem::take(&mut wire.request_id);
        let digest = digest("CancelWorkload", &wire.encode_to_vec());
        wire.request_id = request_id;
        let (checked, id) = request::cancel(wire).map_err(status::violations)?;
        let reference = workload_ref(&id)?;
        let ask = Ask::Cancel {
            mutation: mutation(checked, digest),
            workload: reference.clone(),
        };
        let (mut view, revision) = one(self.ask(caller.clone(), ask).await?)?;
        if view.is_none() {
            // Only checked: shown as it is.
            view = one(self
                .ask(
                    caller,
                    Ask::Get {
                        workload: reference,
                    },
                )
                .await?)?
            .0;
        }
        Ok(v1::CancelWorkloadResponse {
            workload: view.map(|view| workload(&view)),
            revision: revision.0,
        })
    }
}

fn filter(wire: &v1::ListWorkloadsRequest) -> Result<Filter, Violations> {
    let limit = request::page_size(wire.page_size, PAGE, PAGE_MAX);
    let mut bad: Vec<_> = limit
        .as_ref()
        .err()
        .map(|error| error.0.clone())
        .unwrap_or_default();
    let queue = (!wire.queue.is_empty()).then(|| Name::new(&wire.queue));
    if let Some(Err(error)) = &queue {
        bad.extend(Violations::one("queue", error.to_string()).0);
    }
    let named = wire.states.iter().filter(|number| **number != 0);
    let states: Vec<_> = named
        .map(|number| state_from_wire(*number).ok_or(*number))
        .collect();
    for (index, state) in states.iter().enumerate() {
        if let Err(number) = state {
            let text = format!("must be a WorkloadState that workloads have, got {number}");
            bad.extend(Violations::one(format!("states[{index}]"), text).0);
        }
    }
    let before = (!wire.page_token.is_empty()).then(|| wire.page_token.parse::<WorkloadId>());
    if let Some(Err(_)) = &before {
        bad.extend(
            Violations::one(
                "page_token",
                "must be the next_page_token of the page before",
            )
            .0,
        );
    }
    if !bad.is_empty() {
        return Err(Violations(bad));
    }
    let states: Vec<_> = states.into_iter().flatten().collect();
    let ended = states
        .iter()
        .any(|state| *state >= dovetail_core::state::WorkloadState::Succeeded);
    Ok(Filter {
        queue: queue.and_then(Result::ok),
        include_ended: wire.include_ended || ended,
        states,
        before: before.and_then(Result::ok),
        limit: limit.unwrap_or(PAGE as usize),
    })
}

#[tonic::async_trait]
impl v1::workload_service_server::WorkloadService for Api {
    async fn submit_workload(
        &self,
        request: Request<v1::SubmitWorkloadRequest>,
    ) -> Result<Response<v1::SubmitWorkloadResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        Ok(Response::new(
            self.submit(caller, request.into_inner()).await?,
        ))
    }

    async fn get_workload(
        &self,
        request: Request<v1::GetWorkloadRequest>,
    ) -> Result<Response<v1::GetWorkloadResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        let reference = workload_ref(&request.get_ref().id)?;
        let (view, _) = one(self
            .ask(
                caller,
                Ask::Get {
                    workload: reference,
                },
            )
            .await?)?;
        Ok(Response::new(v1::GetWorkloadResponse {
            workload: view.map(|view| workload(&view)),
        }))
    }

    async fn list_workloads(
        &self,
        request: Request<v1::ListWorkloadsRequest>,
    ) -> Result<Response<v1::ListWorkloadsResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        let filter = filter(request.get_ref()).map_err(status::violations)?;
        let Answer::Workloads {
            workloads,
            next,
            revision,
        } = self.ask(caller, Ask::List { filter }).await?
        else {
            return Err(status::mismatched("workloads were asked for"));
        };
        Ok(Response::new(page(&workloads, next, revision)))
    }

    async fn cancel_workload(
        &self,
        request: Request<v1::CancelWorkloadRequest>,
    ) -> Result<Response<v1::CancelWorkloadResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        Ok(Response::new(
            self.cancel(caller, request.into_inner()).await?,
        ))
    }

    async fn explain_workload(
        &self,
        request: Request<v1::ExplainWorkloadRequest>,
    ) -> Result<Response<v1::ExplainWorkloadResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        let reference = workload_ref(&request.get_ref().id)?;
        let Answer::Explanation {
            workload: view,
            explanation: why,
        } = self
            .ask(
                caller,
                Ask::Explain {
                    workload: reference,
                },
            )
            .await?
        else {
            return Err(status::mismatched("an explanation was asked for"));
        };
        Ok(Response::new(explanation(Some(&view), &why)))
    }

    async fn plan_placement(
        &self,
        request: Request<v1::PlanPlacementRequest>,
    ) -> Result<Response<v1::PlanPlacementResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        let spec = request::plan(request.into_inner()).map_err(status::violations)?;
        let spec = Box::new(spec);
        let Answer::Plan {
            placements,
            explanation: why,
            revision,
        } = self.ask(caller, Ask::Plan { spec }).await?
        else {
            return Err(status::mismatched("a plan was asked for"));
        };
        Ok(Response::new(v1::PlanPlacementResponse {
            fits: placements.is_some(),
            placements: placements.iter().flatten().map(placement_to_wire).collect(),
            explanation: why.map(|why| explanation(None, &why)),
            revision: revision.0,
        }))
    }

    type ReadLogsStream = logs::Stream;

    async fn read_logs(
        &self,
        request: Request<v1::ReadLogsRequest>,
    ) -> Result<Response<logs::Stream>, Status> {
        let caller = self.identity.caller(&request)?;
        logs::read(self.clone(), caller, request.into_inner())
            .await
            .map(Response::new)
    }
}

/// As many workloads as any client takes at once; the page ends early where they are large.
fn page(
    all: &[WorkloadView],
    next: Option<WorkloadId>,
    revision: Revision,
) -> v1::ListWorkloadsResponse {
    let mut response = v1::ListWorkloadsResponse {
        revision: revision.0,
        ..Default::default()
    };
    let mut bytes = 0;
    for view in all {
        let shown = workload(view);
        bytes += shown.encoded_len();
        // One is always shown: it came in as one message, so it is small enough to go out.
        if bytes > PAGE_MAX_BYTES && !response.workloads.is_empty() {
            let last = response.workloads.last().map(|shown| shown.id.clone());
            response.next_page_token = last.unwrap_or_default();
            return response;
        }
        response.workloads.push(shown);
    }
    response.next_page_token = next.map(|id| id.to_string()).unwrap_or_default();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_body_has_the_same_digest_whatever_its_request_id_and_map_order() {
        let pairs = |keys: &[&str]| -> HashMap<String, String> {
            let pairs = keys.iter().map(|key| ((*key).to_owned(), "v".to_owned()));
            pairs.collect()
        };
        let digest_of = |id: &str, workload: v1::WorkloadSpec| {
            submission_digest(&v1::SubmitWorkloadRequest {
                request_id: id.to_owned(),
                workload: Some(workload),
                ..v1::SubmitWorkloadRequest::default()
            })
        };
        let submission = |id: &str, keys: &[&str]| {
            let workload = v1::WorkloadSpec {
                env: pairs(keys),
                ..v1::WorkloadSpec::default()
            };
            digest_of(id, workload)
        };
        let selector = |id: &str, keys: &[&str]| {
            let workload = v1::WorkloadSpec {
                node_selector: pairs(keys),
                ..v1::WorkloadSpec::default()
            };
            digest_of(id, workload)
        };
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let mut turned = keys;
        turned.reverse();
        assert_eq!(submission("r1", &keys), submission("r2", &turned));
        assert_ne!(submission("r1", &keys), submission("r1", &keys[1..]));
        assert_ne!(submission("r1", &keys), selector("r1", &keys));
        assert_eq!(selector("r1", &keys), selector("r2", &turned));
        assert_ne!(selector("r1", &keys), selector("r1", &keys[1..]));
        assert_ne!(
            digest("A", b"x"),
            digest("B", b"x"),
            "another method is another request"
        );
    }

    #[test]
    fn a_filter_names_every_bad_field() {
        let wire = v1::ListWorkloadsRequest {
            queue: "No".to_owned(),
            states: vec![1, 99],
            page_size: 1001,
            page_token: "?".to_owned(),
            ..v1::ListWorkloadsRequest::default()
        };
        let bad = filter(&wire).unwrap_err().0;
        let fields: Vec<&str> = bad.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["page_size", "queue", "states[1]", "page_token"]);
        let asked = filter(&v1::ListWorkloadsRequest {
            states: vec![7],
            ..Default::default()
        })
        .unwrap();
        assert!(
            asked.include_ended,
            "asking for an end is asking for ended ones"
        );
    }
}
