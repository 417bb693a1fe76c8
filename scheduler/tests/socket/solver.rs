//! The solver's process beside the running program.

use crate::{
    agent::{Agent, enroll_gpus},
    program::{Program, spec},
};
use dovetail_proto::v1;
use std::time::Duration;
use tokio::time::sleep;

fn batch(name: &str, gpus: u32, gang_size: u32) -> v1::SubmitWorkloadRequest {
    let mut spec = spec(name);
    spec.kind = v1::WorkloadKind::Batch.into();
    spec.gang_size = gang_size;
    spec.resources.as_mut().unwrap().gpu = Some(v1::GpuRequest {
        amount: Some(v1::gpu_request::Amount::Whole(v1::WholeGpus {
            count: gpus,
        })),
        models: vec![],
    });
    v1::SubmitWorkloadRequest {
        request_id: name.to_owned(),
        workload: Some(spec),
        ..v1::SubmitWorkloadRequest::default()
    }
}

async fn placed(program: &Program) -> u32 {
    program.status().await.placed
}

/// Two nodes of eight GPUs; 3, 3 and a gang of two fives. With both threes on one node the gang does
/// not fit any more: whether the online path does that depends on whether it expected the gang in
/// time, and then the solver mends it.
#[tokio::test]
async fn a_gang_that_may_be_stranded_is_placed() {
    let program = Program::start().await;
    let mut workloads = program.workloads().await;
    for request in [batch("a", 3, 1), batch("b", 3, 1), batch("gang", 5, 2)] {
        workloads.submit_workload(request).await.unwrap();
    }
    let mut agents = vec![];
    for node in ["n1", "n2"] {
        enroll_gpus(&program, node, 8).await;
    }
    for node in ["n1", "n2"] {
        agents.push(Agent::hello(&program, node, "boot-1").await);
    }
    for _ in 0..100 {
        if placed(&program).await == 3 {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let status = program.status().await;
    let counters = status.solver.unwrap();
    let log = program.log();
    assert_eq!(status.placed, 3, "{counters:?} {log}");
    assert_eq!(counters.runs, counters.improved, "{log}");
    assert_eq!(
        (counters.fallbacks, counters.kills, status.plans_rejected),
        (0, 0, 0),
        "{log}"
    );
}
