//! `dovetail cancel`: ask a workload to end.

use super::{has_ended, watch};
use crate::{
    args::{CancelArgs, Global},
    client::{Client, request_id},
    error::{CliError, exit},
    output,
};
use dovetail_proto::v1::CancelWorkloadRequest;

pub(crate) async fn run(global: &Global, args: CancelArgs) -> Result<u8, CliError> {
    let client = Client::connect(global).await?;
    let request = CancelWorkloadRequest {
        request_id: request_id(),
        id: args.id,
        validate_only: false,
        expected_revision: 0,
    };
    let mut reply = client
        .call(client.workloads().cancel_workload(request))
        .await?;
    if let Some(id) = reply
        .workload
        .as_ref()
        .map(|w| w.id.clone())
        .filter(|_| args.wait)
    {
        let ended = watch(&client, &id, global.wait_timeout(), has_ended).await?;
        if !has_ended(&ended) {
            return Err(CliError::still(&ended));
        }
        reply.workload = Some(ended);
    }
    output::reply(global.output, &reply, "CancelWorkloadResponse", |reply| {
        output::workloads(reply.workload.as_slice())
    })?;
    Ok(exit::DONE)
}
