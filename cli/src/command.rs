//! The verbs, one file each: ask, print, and the exit code.

pub(crate) mod cancel;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod logs;
pub(crate) mod node;
pub(crate) mod plan;
pub(crate) mod ps;
pub(crate) mod replay;
pub(crate) mod status;
pub(crate) mod submit;

use crate::{client::Client, error::CliError};
use dovetail_proto::v1::{GetWorkloadRequest, Workload, WorkloadState};
use std::time::Duration;

/// How often a state that is waited for is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Looks at a workload until it is as wanted, or the time is over.
async fn watch(
    client: &Client,
    id: &str,
    limit: Option<Duration>,
    wanted: impl Fn(&Workload) -> bool,
) -> Result<Workload, CliError> {
    let end = limit.map(|limit| tokio::time::Instant::now() + limit);
    loop {
        let request = GetWorkloadRequest { id: id.to_owned() };
        let reply = client
            .call(client.workloads().get_workload(request))
            .await?;
        let workload = reply.workload.unwrap_or_default();
        if wanted(&workload) || end.is_some_and(|end| tokio::time::Instant::now() >= end) {
            return Ok(workload);
        }
        tokio::time::sleep(POLL).await;
    }
}

fn has_ended(workload: &Workload) -> bool {
    matches!(
        workload.state(),
        WorkloadState::Succeeded
            | WorkloadState::Failed
            | WorkloadState::Cancelled
            | WorkloadState::Lost
    )
}
