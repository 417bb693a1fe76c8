//! `dovetail demo`: one scheduler and several simulated hosts as real processes on this machine,
//! and a short story that shows what they do. GPUs are simulated at the C ABI of NVML; processes,
//! cgroups, journal and sockets are real.

mod cast;
mod hosts;
mod limits;
mod process;
mod stage;
mod story;

use crate::{
    args::DemoArgs,
    error::{CliError, exit},
    output,
};
use stage::Stage;

pub(crate) async fn run(args: DemoArgs) -> Result<u8, CliError> {
    let keep = args.keep;
    let mut stage = Stage::open(&args).await?;
    let told = tokio::select! {
        told = story::tell(&mut stage) => told,
        _ = tokio::signal::ctrl_c() => {
            output::note("interrupted; stopping everything");
            stage.close().await?;
            return Ok(exit::INTERRUPTED);
        }
    };
    match &told {
        Ok(()) if keep => wait_for_ctrl_c(&stage).await,
        Ok(()) => {}
        Err(_) => stage.keep_the_logs(),
    }
    let left = stage.close().await;
    told?;
    left?;
    Ok(exit::DONE)
}

async fn wait_for_ctrl_c(stage: &Stage) {
    let socket = stage.socket().display().to_string();
    // Work does not run as root, and unconfined only if it says so.
    let (flag, field) = if stage.root {
        ("--user nobody", "\"user\": \"nobody\",")
    } else {
        ("--minimum-level none", "")
    };
    let level = if stage.root {
        ""
    } else {
        ", \"minimum_level\": \"LEVEL_NONE\""
    };
    output::tell(&format!(
        "\nEverything stays up. In another terminal:\n  \
         export DOVETAIL_SOCKET={socket}\n  \
         dovetail ps\n  \
         dovetail explain pretrain\n  \
         dovetail submit --name hello {flag} --wait -- /bin/echo hello\n  \
         grpcurl -plaintext -unix {socket} list\n  \
         grpcurl -plaintext -unix {socket} describe dovetail.v1.WorkloadSpec\n  \
         grpcurl -plaintext -unix -d '{{\"request_id\": \"r1\", \"workload\": {{\"name\": \"third\", {field} \
         \"kind\": \"WORKLOAD_KIND_SERVICE\", \"argv\": [\"/bin/sleep\", \"600\"], \"resources\": \
         {{\"cpu_milli\": 500, \"memory_bytes\": 1073741824, \"gpu\": {{\"share\": \
         {{\"compute_milli\": 300}}}}{level}}}}}}}' {socket} dovetail.v1.WorkloadService/SubmitWorkload\n\n\
         Ctrl-C here stops the workloads, the agents and the scheduler.\n"
    ));
    if tokio::signal::ctrl_c().await.is_err() {
        output::note("failed to wait for Ctrl-C; stopping");
    }
}
