//! `dovetail plan`: what would happen, without it happening.

use crate::{
    args::{Format, Global, SpecArgs},
    client::Client,
    error::{CliError, exit},
    output, spec,
};
use dovetail_proto::v1::{PlanPlacementRequest, PlanPlacementResponse};

pub(crate) async fn run(global: &Global, args: SpecArgs) -> Result<u8, CliError> {
    let request = PlanPlacementRequest {
        workload: Some(spec::build(args)?),
    };
    let client = Client::connect(global).await?;
    let reply = client
        .call(client.workloads().plan_placement(request))
        .await?;
    output::reply(global.output, &reply, "PlanPlacementResponse", table)?;
    if reply.fits && global.output == Format::Table {
        output::note(&format!(
            "it would start now; to get exactly this, submit with --at-revision {}",
            reply.revision
        ));
    }
    Ok(if reply.fits {
        exit::DONE
    } else {
        exit::NOT_PLACED
    })
}

fn table(reply: &PlanPlacementResponse) -> String {
    match &reply.explanation {
        Some(explanation) if !reply.fits => output::explanation(explanation),
        _ => output::placements(&reply.placements),
    }
}
