//! `dovetail submit`: accepted means durable; placed, or waiting with its reason.

use super::{has_ended, watch};
use crate::{
    args::{Format, Global, SubmitArgs},
    client::{Client, request_id},
    error::{CliError, exit},
    output, spec,
};
use dovetail_proto::v1::{SubmitWorkloadRequest, SubmitWorkloadResponse, Workload, WorkloadState};
use std::time::Duration;

/// Batch work may be gathered and packed together: how long that is given before saying "waits".
const SETTLE: Duration = Duration::from_secs(1);

pub(crate) async fn run(global: &Global, args: SubmitArgs) -> Result<u8, CliError> {
    let request = SubmitWorkloadRequest {
        request_id: args.request_id.clone().unwrap_or_else(request_id),
        workload: Some(spec::build(args.spec)?),
        validate_only: args.dry_run,
        expected_revision: args.at_revision.unwrap_or(0),
    };
    let client = Client::connect(global).await?;
    let mut reply = client
        .call(client.workloads().submit_workload(request))
        .await?;
    if args.dry_run {
        output::note("nothing is wrong with it; nothing was changed");
        return Ok(exit::DONE);
    }
    if let Some(id) = reply.workload.as_ref().map(|w| w.id.clone()) {
        if args.wait {
            let ended = watch(&client, &id, global.wait_timeout(), has_ended).await?;
            if !has_ended(&ended) {
                return Err(CliError::still(&ended));
            }
            reply.workload = Some(ended);
        } else if !args.no_wait {
            reply.workload = Some(watch(&client, &id, Some(SETTLE), settled).await?);
        }
    }
    print(global, &reply)?;
    let workload = reply.workload.unwrap_or_default();
    Ok(match workload.state() {
        _ if args.no_wait => exit::DONE,
        WorkloadState::Pending => exit::NOT_PLACED,
        WorkloadState::Succeeded => exit::DONE,
        _ if args.wait => exit::FAILURE,
        _ => exit::DONE,
    })
}

fn settled(workload: &Workload) -> bool {
    workload.state() != WorkloadState::Pending
}

fn print(global: &Global, reply: &SubmitWorkloadResponse) -> Result<(), CliError> {
    output::reply(global.output, reply, "SubmitWorkloadResponse", |reply| {
        output::workloads(reply.workload.as_slice())
    })?;
    let waiting = reply
        .workload
        .as_ref()
        .filter(|w| w.state() == WorkloadState::Pending);
    if let Some(workload) = waiting.filter(|_| global.output == Format::Table) {
        output::note(&format!(
            "it waits; see why with: dovetail explain {}",
            workload.id
        ));
    }
    Ok(())
}
