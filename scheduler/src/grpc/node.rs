//! NodeService.

use super::{
    Api,
    show::node::node,
    status,
    workload::{digest, mutation},
};
use dovetail_core::{
    effect::{Answer, NodeReply},
    input::{Caller, Mutation, Request as Ask},
};
use dovetail_model::id::{Name, NodeName, Revision};
use dovetail_proto::{
    convert::{Violations, request},
    v1,
};
use prost::Message as _;
use tonic::{Request, Response, Status};

/// Nodes on a page if the caller does not say.
const PAGE: u32 = 1000;
/// Nodes on a page at most.
const PAGE_MAX: u32 = 10_000;
/// Nodes a map may be asked for by name.
const NAMES_MAX: usize = 10_000;

impl Api {
    async fn nodes(
        &self,
        caller: Caller,
        names: Vec<NodeName>,
        strict: bool,
    ) -> Result<(Vec<NodeReply>, Revision), Status> {
        match self.ask(caller, Ask::Nodes { names, strict }).await? {
            Answer::Nodes { nodes, revision } => Ok((nodes, revision)),
            _ => Err(status::mismatched("nodes were asked for")),
        }
    }

    async fn one_node(&self, caller: Caller, name: NodeName) -> Result<v1::Node, Status> {
        let (nodes, _) = self.nodes(caller, vec![name.clone()], true).await?;
        let found = nodes.first().map(node);
        found.ok_or_else(|| status::not_found("node", name.as_str()))
    }

    async fn cordon(
        &self,
        caller: Caller,
        mutation: Mutation,
        name: NodeName,
        why: Option<String>,
    ) -> Result<v1::Node, Status> {
        let ask = Ask::Cordon {
            mutation,
            node: name.clone(),
            why,
        };
        match self.ask(caller.clone(), ask).await? {
            Answer::Nodes { nodes, .. } if !nodes.is_empty() => Ok(node(&nodes[0])),
            // Only checked, or a repetition for a node that was forgotten since.
            _ => self.one_node(caller, name).await,
        }
    }
}

#[tonic::async_trait]
impl v1::node_service_server::NodeService for Api {
    async fn list_nodes(
        &self,
        request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        let wire = request.into_inner();
        let limit =
            request::page_size(wire.page_size, PAGE, PAGE_MAX).map_err(status::violations)?;
        let after = page_token(&wire.page_token).map_err(status::violations)?;
        let (nodes, revision) = self.nodes(caller, vec![], false).await?;
        let rest = nodes
            .iter()
            .filter(|reply| after.as_ref().is_none_or(|after| reply.name > *after));
        let mut rest = rest.peekable();
        let page: Vec<&NodeReply> = rest.by_ref().take(limit).collect();
        let last = page.last().filter(|_| rest.peek().is_some());
        Ok(Response::new(v1::ListNodesResponse {
            next_page_token: last.map(|reply| reply.name.to_string()).unwrap_or_default(),
            nodes: page.into_iter().map(node).collect(),
            revision: revision.0,
        }))
    }

    async fn get_node(
        &self,
        request: Request<v1::GetNodeRequest>,
    ) -> Result<Response<v1::GetNodeResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        let name =
            request::node_name("name", &request.get_ref().name).map_err(status::violations)?;
        let node = Some(self.one_node(caller, name).await?);
        Ok(Response::new(v1::GetNodeResponse { node }))
    }

    async fn cordon_node(
        &self,
        request: Request<v1::CordonNodeRequest>,
    ) -> Result<Response<v1::CordonNodeResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        let wire = request.into_inner();
        let body = v1::CordonNodeRequest {
            request_id: String::new(),
            ..wire.clone()
        };
        let digest = digest("CordonNode", &body.encode_to_vec());
        let (checked, name, why) = request::cordon(wire).map_err(status::violations)?;
        let node = self
            .cordon(caller, mutation(checked, digest), name, Some(why))
            .await?;
        Ok(Response::new(v1::CordonNodeResponse { node: Some(node) }))
    }

    async fn uncordon_node(
        &self,
        request: Request<v1::UncordonNodeRequest>,
    ) -> Result<Response<v1::UncordonNodeResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        let wire = request.into_inner();
        let body = v1::UncordonNodeRequest {
            request_id: String::new(),
            ..wire.clone()
        };
        let digest = digest("UncordonNode", &body.encode_to_vec());
        let (checked, name) = request::uncordon(wire).map_err(status::violations)?;
        let node = self
            .cordon(caller, mutation(checked, digest), name, None)
            .await?;
        Ok(Response::new(v1::UncordonNodeResponse { node: Some(node) }))
    }

    async fn forget_node(
        &self,
        request: Request<v1::ForgetNodeRequest>,
    ) -> Result<Response<v1::ForgetNodeResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        let wire = request.into_inner();
        let body = v1::ForgetNodeRequest {
            request_id: String::new(),
            ..wire.clone()
        };
        let digest = digest("ForgetNode", &body.encode_to_vec());
        let (checked, name) = request::forget(wire).map_err(status::violations)?;
        let ask = Ask::Forget {
            mutation: mutation(checked, digest),
            node: name,
        };
        let Answer::Forgotten { lost } = self.ask(caller, ask).await? else {
            return Err(status::mismatched("a node was to be forgotten"));
        };
        Ok(Response::new(v1::ForgetNodeResponse {
            lost_slices: lost.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn get_slice_map(
        &self,
        request: Request<v1::GetSliceMapRequest>,
    ) -> Result<Response<v1::GetSliceMapResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        let names = names(&request.get_ref().nodes).map_err(status::violations)?;
        let (nodes, revision) = self.nodes(caller, names, true).await?;
        Ok(Response::new(v1::GetSliceMapResponse {
            nodes: nodes.iter().map(node).collect(),
            revision: revision.0,
        }))
    }
}

fn page_token(text: &str) -> Result<Option<NodeName>, Violations> {
    if text.is_empty() {
        return Ok(None);
    }
    let bad = |_| {
        Violations::one(
            "page_token",
            "must be the next_page_token of the page before",
        )
    };
    Name::new(text).map(Some).map_err(bad)
}

fn names(texts: &[String]) -> Result<Vec<NodeName>, Violations> {
    if texts.len() > NAMES_MAX {
        let text = format!("must have at most {NAMES_MAX} names, got {}", texts.len());
        return Err(Violations::one("nodes", text));
    }
    let mut bad = vec![];
    let mut names = vec![];
    for (index, text) in texts.iter().enumerate() {
        match Name::new(text) {
            Ok(name) => names.push(name),
            Err(error) if bad.len() < dovetail_proto::convert::VIOLATIONS_MAX => {
                bad.extend(Violations::one(format!("nodes[{index}]"), error.to_string()).0);
            }
            Err(_) => {}
        }
    }
    if bad.is_empty() {
        Ok(names)
    } else {
        Err(Violations(bad))
    }
}
