//! `dovetail ps`: what there is, newest first.

use crate::{
    args::{Global, PsArgs},
    client::Client,
    error::{CliError, exit},
    output,
};
use dovetail_proto::v1::ListWorkloadsRequest;

pub(crate) async fn run(global: &Global, args: PsArgs) -> Result<u8, CliError> {
    let client = Client::connect(global).await?;
    let request = ListWorkloadsRequest {
        queue: args.queue.unwrap_or_default(),
        include_ended: args.all,
        page_size: args.limit,
        ..ListWorkloadsRequest::default()
    };
    let reply = client
        .call(client.workloads().list_workloads(request))
        .await?;
    output::reply(global.output, &reply, "ListWorkloadsResponse", |reply| {
        output::workloads(&reply.workloads)
    })?;
    if !reply.next_page_token.is_empty() {
        output::note("there are more; raise --limit to see them");
    }
    Ok(exit::DONE)
}
