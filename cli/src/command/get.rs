//! `dovetail get`: one workload in full.

use crate::{
    args::{Global, IdArgs},
    client::Client,
    error::{CliError, exit},
    output,
};
use dovetail_proto::v1::GetWorkloadRequest;

pub(crate) async fn run(global: &Global, args: IdArgs) -> Result<u8, CliError> {
    let client = Client::connect(global).await?;
    let request = GetWorkloadRequest { id: args.id };
    let reply = client
        .call(client.workloads().get_workload(request))
        .await?;
    output::reply(global.output, &reply, "GetWorkloadResponse", |reply| {
        output::workload(&reply.workload.clone().unwrap_or_default())
    })?;
    Ok(exit::DONE)
}
