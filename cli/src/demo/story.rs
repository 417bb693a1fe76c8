//! The story: a map that fills, a gang that waits and why, a puzzle for the solver, a limit that
//! bites, a scheduler that is killed, and what is left.

use super::{
    cast::{self, Author},
    limits,
    stage::Stage,
};
use crate::{client::request_id, error::CliError, output};
use dovetail_proto::v1::{
    CancelWorkloadRequest, Cause, CordonNodeRequest, ExplainWorkloadRequest, GetNodeRequest,
    GetSliceMapRequest, GetStatusRequest, GetStatusResponse, ListWorkloadsRequest,
    SubmitWorkloadRequest, UncordonNodeRequest, VerifyJournalRequest, Workload, WorkloadSpec,
    WorkloadState,
};
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(20);
/// The two hosts of the solver's puzzle.
const PUZZLE_HOSTS: [&str; 2] = ["maple", "rowan"];

/// Tells it from beginning to end.
pub(super) async fn tell(stage: &mut Stage) -> Result<(), CliError> {
    let began = Instant::now();
    let author = Author { root: stage.root };
    enforced(stage).await?;
    filling(stage, author).await?;
    waiting(stage, author).await?;
    puzzle(stage, author).await?;
    limit(stage, author).await?;
    crash(stage).await?;
    summary(stage, began).await
}

fn heading(text: &str) {
    output::tell(&format!("\n== {text}\n"));
}

/// What this machine lets the agents enforce.
async fn enforced(stage: &Stage) -> Result<(), CliError> {
    heading("Six simulated hosts have reported. What is enforced on this machine:");
    let client = stage.client()?;
    let request = GetNodeRequest {
        name: "alder".to_owned(),
    };
    let node = client
        .call(client.nodes().get_node(request))
        .await?
        .node
        .unwrap_or_default();
    let list = |items: &[String]| {
        if items.is_empty() {
            "nothing".to_owned()
        } else {
            items.join(", ")
        }
    };
    output::tell(&format!("enforced      {}", list(&node.enforces)));
    output::tell(&format!("not enforced  {}", list(&node.not_enforced)));
    Ok(())
}

/// Act one: services, sessions and batch work share the GPUs.
async fn filling(stage: &Stage, author: Author) -> Result<(), CliError> {
    let work = author.mixed();
    heading(&format!(
        "{} workloads are submitted: shares, whole GPUs, CPU only",
        work.len()
    ));
    let half = work.len() / 2;
    let mut ids = Vec::new();
    for (index, spec) in work.into_iter().enumerate() {
        ids.push(submit(stage, spec).await?.id);
        if index + 1 == half {
            output::tell("half of them:\n");
            map(stage).await?;
        }
    }
    for id in &ids {
        until(stage, id, "runs", |w| w.state() == WorkloadState::Running).await?;
    }
    output::tell("all of them:\n");
    map(stage).await
}

/// Act two: a gang waits, and the scheduler says why.
async fn waiting(stage: &Stage, author: Author) -> Result<(), CliError> {
    heading("A gang of two members with eight H100 each has to wait. `dovetail explain pretrain`:");
    let id = submit(stage, author.pretrain()).await?.id;
    let client = stage.client()?;
    let reply = client
        .call(
            client
                .workloads()
                .explain_workload(ExplainWorkloadRequest { id }),
        )
        .await?;
    output::tell(&output::explanation(&reply));
    Ok(())
}

/// Act three: what best fit strands is placed, at once or by the exact solver.
async fn puzzle(stage: &Stage, author: Author) -> Result<(), CliError> {
    heading("On two hosts of eight L4: three, three, and a gang of two fives, packed together");
    let before = status(stage).await?.solver.unwrap_or_default();
    for name in PUZZLE_HOSTS {
        cordon(stage, name, true).await?;
    }
    let mut ids = Vec::new();
    for spec in author.puzzle() {
        ids.push(submit(stage, spec).await?.id);
    }
    for name in PUZZLE_HOSTS {
        cordon(stage, name, false).await?;
    }
    for id in &ids {
        until(stage, id, "runs", |w| w.state() == WorkloadState::Running).await?;
    }
    map(stage).await?;
    let after = status(stage).await?.solver.unwrap_or_default();
    let how = if after.improved > before.improved {
        "both threes went to one host and stranded the gang; the solver process placed all"
    } else {
        "the gang was expected when the threes were placed, and nobody was stranded"
    };
    output::tell(&format!(
        "{how}: {} run, {} improved, {} fallbacks, {} kills\n",
        after.runs - before.runs,
        after.improved - before.improved,
        after.fallbacks - before.fallbacks,
        after.kills - before.kills
    ));
    Ok(())
}

/// Act four: the kernel's own numbers.
async fn limit(stage: &Stage, author: Author) -> Result<(), CliError> {
    heading("A limit bites on a real process");
    if !stage.root {
        output::tell(
            "not shown: without root or a delegated cgroup subtree no limit is enforced, and work \
             runs only because it accepts the level `none`\n",
        );
        return Ok(());
    }
    let burner = author.burner();
    output::tell(&format!(
        "{} and burns what it can get",
        cast::line(&burner)?
    ));
    let id = submit(stage, burner).await?.id;
    until(stage, &id, "runs", |w| w.state() == WorkloadState::Running).await?;
    let found = limits::measure_cpu(stage, &id).await?;
    output::tell(&format!(
        "  it got {:.3} cores\n  {}: nr_throttled {}",
        found.cores,
        found.file.display(),
        found.throttled
    ));
    cancel(stage, &id).await?;
    let hog = author.hog();
    output::tell(&format!("{} and wants 1 GB", cast::line(&hog)?));
    let id = submit(stage, hog).await?.id;
    let ended = limits::wait_for_end(stage, &id).await?;
    let name = ended
        .cause()
        .as_str_name()
        .trim_start_matches("CAUSE_")
        .to_owned();
    output::tell(&format!(
        "  it ended as {} by {name}\n",
        output::state(ended.state())
    ));
    if ended.cause() != Cause::Oom {
        return Err(CliError::failure("the memory limit did not hold"));
    }
    Ok(())
}

/// Act five: `kill -9`, and nothing is lost.
async fn crash(stage: &mut Stage) -> Result<(), CliError> {
    heading("The scheduler is killed with SIGKILL and started again");
    let before = live(stage).await?;
    let pid = stage.scheduler_pid();
    let began = Instant::now();
    stage.crash_scheduler().await?;
    let after = live(stage).await?;
    let client = stage.client()?;
    let verdict = client
        .call(client.admin().verify_journal(VerifyJournalRequest {}))
        .await?;
    output::tell(&format!(
        "pid {pid} killed; back with every host after {} ms\n\
         {} workloads before, {} after, {} of them in the same place\n\
         state replayed from the journal: {} ({})\n",
        began.elapsed().as_millis(),
        before.len(),
        after.len(),
        before.iter().filter(|row| after.contains(row)).count(),
        if verdict.equal { "equal" } else { "DIFFERENT" },
        &verdict.memory_hash.get(..16).unwrap_or_default(),
    ));
    if before != after || !verdict.equal {
        return Err(CliError::failure("something was lost"));
    }
    Ok(())
}

/// The last word.
async fn summary(stage: &Stage, began: Instant) -> Result<(), CliError> {
    heading("Summary");
    let status = status(stage).await?;
    let solver = status.solver.unwrap_or_default();
    output::tell(&format!(
        "{} workloads placed, {} pending (pretrain, on purpose)\n\
         {} events journaled, state {}\n\
         solver since the restart: {} runs, {} fallbacks, {} kills; plans refused by the check: {}\n\
         {:.1} s",
        status.placed,
        status.pending,
        status.revision,
        status.state_hash.get(..16).unwrap_or_default(),
        solver.runs,
        solver.fallbacks,
        solver.kills,
        status.plans_rejected,
        began.elapsed().as_secs_f32()
    ));
    Ok(())
}

/// Live workloads by id, with their places and states.
async fn live(stage: &Stage) -> Result<Vec<(String, i32, Vec<String>)>, CliError> {
    let client = stage.client()?;
    let request = ListWorkloadsRequest {
        page_size: 1000,
        ..ListWorkloadsRequest::default()
    };
    let list = client
        .call(client.workloads().list_workloads(request))
        .await?
        .workloads;
    let places = |workload: &Workload| {
        let placed = workload
            .members
            .iter()
            .filter_map(|member| member.placement.as_ref());
        placed
            .map(|p| format!("{} {} {:?}", p.slice_id, p.node, p.gpus))
            .collect()
    };
    Ok(list
        .iter()
        .map(|w| (w.id.clone(), w.state, places(w)))
        .collect())
}

async fn submit(stage: &Stage, spec: WorkloadSpec) -> Result<Workload, CliError> {
    let client = stage.client()?;
    let request = SubmitWorkloadRequest {
        request_id: request_id(),
        workload: Some(spec),
        ..SubmitWorkloadRequest::default()
    };
    let reply = client
        .call(client.workloads().submit_workload(request))
        .await?;
    Ok(reply.workload.unwrap_or_default())
}

async fn cancel(stage: &Stage, id: &str) -> Result<(), CliError> {
    let client = stage.client()?;
    let request = CancelWorkloadRequest {
        request_id: request_id(),
        id: id.to_owned(),
        ..CancelWorkloadRequest::default()
    };
    client
        .call(client.workloads().cancel_workload(request))
        .await?;
    until(stage, id, "is gone", |w| {
        w.state() == WorkloadState::Cancelled
    })
    .await
}

async fn cordon(stage: &Stage, name: &str, on: bool) -> Result<(), CliError> {
    let client = stage.client()?;
    let (request_id, name) = (request_id(), name.to_owned());
    if on {
        let reason = "being prepared for the demo".to_owned();
        let request = CordonNodeRequest {
            request_id,
            name,
            reason,
            ..Default::default()
        };
        client.call(client.nodes().cordon_node(request)).await?;
    } else {
        let request = UncordonNodeRequest {
            request_id,
            name,
            ..Default::default()
        };
        client.call(client.nodes().uncordon_node(request)).await?;
    }
    Ok(())
}

async fn status(stage: &Stage) -> Result<GetStatusResponse, CliError> {
    let client = stage.client()?;
    client
        .call(client.admin().get_status(GetStatusRequest {}))
        .await
}

async fn map(stage: &Stage) -> Result<(), CliError> {
    let client = stage.client()?;
    let reply = client
        .call(client.nodes().get_slice_map(GetSliceMapRequest::default()))
        .await?;
    output::tell(&output::slice_map(&reply.nodes));
    Ok(())
}

async fn until(
    stage: &Stage,
    id: &str,
    what: &str,
    wanted: impl Fn(&Workload) -> bool,
) -> Result<(), CliError> {
    let client = stage.client()?;
    let end = Instant::now() + PATIENCE;
    loop {
        let request = dovetail_proto::v1::GetWorkloadRequest { id: id.to_owned() };
        let workload = client
            .call(client.workloads().get_workload(request))
            .await?
            .workload;
        let workload = workload.unwrap_or_default();
        if wanted(&workload) {
            return Ok(());
        }
        if workload.ended_at.is_some() || Instant::now() >= end {
            let message = format!("{id} should be one that {what}, and is:");
            return Err(CliError::failure(
                message + "\n" + &output::workload(&workload),
            ));
        }
        tokio::time::sleep(POLL).await;
    }
}
