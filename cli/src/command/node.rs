//! `dovetail node`: looking at nodes, and taking them out of and into service.

use crate::{
    args::Global,
    client::{Client, request_id},
    error::{CliError, exit},
    output,
};
use dovetail_proto::v1::{
    CordonNodeRequest, ForgetNodeRequest, GetNodeRequest, GetSliceMapRequest, ListNodesRequest,
    Node, UncordonNodeRequest,
};

pub(crate) async fn list(global: &Global) -> Result<u8, CliError> {
    let client = Client::connect(global).await?;
    let request = ListNodesRequest {
        page_size: 10_000,
        page_token: String::new(),
    };
    let reply = client.call(client.nodes().list_nodes(request)).await?;
    output::reply(global.output, &reply, "ListNodesResponse", |reply| {
        output::nodes(&reply.nodes)
    })?;
    Ok(exit::DONE)
}

pub(crate) async fn get(global: &Global, name: String) -> Result<u8, CliError> {
    let client = Client::connect(global).await?;
    let reply = client
        .call(client.nodes().get_node(GetNodeRequest { name }))
        .await?;
    output::reply(global.output, &reply, "GetNodeResponse", |reply| {
        output::node(&reply.node.clone().unwrap_or_default())
    })?;
    Ok(exit::DONE)
}

pub(crate) async fn map(global: &Global, nodes: Vec<String>) -> Result<u8, CliError> {
    let client = Client::connect(global).await?;
    let reply = client
        .call(client.nodes().get_slice_map(GetSliceMapRequest { nodes }))
        .await?;
    output::reply(global.output, &reply, "GetSliceMapResponse", |reply| {
        output::slice_map(&reply.nodes)
    })?;
    Ok(exit::DONE)
}

pub(crate) async fn cordon(global: &Global, name: String, reason: String) -> Result<u8, CliError> {
    let client = Client::connect(global).await?;
    let request = CordonNodeRequest {
        request_id: request_id(),
        name,
        reason,
        ..CordonNodeRequest::default()
    };
    let reply = client.call(client.nodes().cordon_node(request)).await?;
    output::reply(global.output, &reply, "CordonNodeResponse", |reply| {
        line(reply.node.as_ref())
    })?;
    Ok(exit::DONE)
}

pub(crate) async fn uncordon(global: &Global, name: String) -> Result<u8, CliError> {
    let client = Client::connect(global).await?;
    let request = UncordonNodeRequest {
        request_id: request_id(),
        name,
        ..UncordonNodeRequest::default()
    };
    let reply = client.call(client.nodes().uncordon_node(request)).await?;
    output::reply(global.output, &reply, "UncordonNodeResponse", |reply| {
        line(reply.node.as_ref())
    })?;
    Ok(exit::DONE)
}

pub(crate) async fn forget(global: &Global, name: String) -> Result<u8, CliError> {
    let client = Client::connect(global).await?;
    let request = ForgetNodeRequest {
        request_id: request_id(),
        name,
        ..ForgetNodeRequest::default()
    };
    let reply = client.call(client.nodes().forget_node(request)).await?;
    output::reply(
        global.output,
        &reply,
        "ForgetNodeResponse",
        |reply| match reply.lost_slices.as_slice() {
            [] => "forgotten; no slice was on it\n".to_owned(),
            lost => format!("forgotten; lost with it: {}\n", lost.join(", ")),
        },
    )?;
    Ok(exit::DONE)
}

fn line(node: Option<&Node>) -> String {
    output::nodes(&node.cloned().into_iter().collect::<Vec<_>>())
}
