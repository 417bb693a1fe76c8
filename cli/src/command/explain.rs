//! `dovetail explain`: why a workload waits, or where it runs.

use crate::{
    args::{Global, IdArgs},
    client::Client,
    error::{CliError, exit},
    output,
};
use dovetail_proto::v1::ExplainWorkloadRequest;

pub(crate) async fn run(global: &Global, args: IdArgs) -> Result<u8, CliError> {
    let client = Client::connect(global).await?;
    let request = ExplainWorkloadRequest { id: args.id };
    let reply = client
        .call(client.workloads().explain_workload(request))
        .await?;
    output::reply(
        global.output,
        &reply,
        "ExplainWorkloadResponse",
        output::explanation,
    )?;
    Ok(exit::DONE)
}
