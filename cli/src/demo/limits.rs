//! The act in which limits bite: what the kernel's own files say about a real process.

use super::stage::Stage;
use crate::error::CliError;
use dovetail_proto::v1::{Cause, GetWorkloadRequest, ReadLogsRequest, Workload, WorkloadState};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const MEASURE: Duration = Duration::from_secs(3);

/// What a CPU-bound process got.
pub(super) struct CpuFinding {
    pub(super) file: PathBuf,
    pub(super) cores: f64,
    pub(super) throttled: u64,
}

/// Measures over a few seconds how much CPU the leaf of a running workload used.
pub(super) async fn measure_cpu(stage: &Stage, id: &str) -> Result<CpuFinding, CliError> {
    let leaf = leaf_of(stage, id).await?;
    let before = (usage_ns(&leaf)?, Instant::now());
    tokio::time::sleep(MEASURE).await;
    let (used, elapsed) = (
        usage_ns(&leaf)?.saturating_sub(before.0),
        before.1.elapsed(),
    );
    #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
    let cores = used as f64 / elapsed.as_nanos() as f64;
    let file = leaf.join("cpu.stat");
    let throttled = field(&read(&file)?, "nr_throttled").unwrap_or(0);
    Ok(CpuFinding {
        file,
        cores,
        throttled,
    })
}

/// The burner printed its own /proc/self/cgroup: its leaf with the cpu controller.
async fn leaf_of(stage: &Stage, id: &str) -> Result<PathBuf, CliError> {
    let client = stage.client()?;
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let request = ReadLogsRequest {
            id: id.to_owned(),
            ..ReadLogsRequest::default()
        };
        let mut stream = client.call(client.workloads().read_logs(request)).await?;
        let mut text = String::new();
        while let Some(chunk) = stream.message().await.map_err(CliError::from)? {
            text.push_str(&String::from_utf8_lossy(&chunk.data));
        }
        if let Some(leaf) = cpu_leaf(&text) {
            return Ok(leaf);
        }
        if Instant::now() >= end {
            return Err(CliError::failure("the burner did not say where it is"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn cpu_leaf(text: &str) -> Option<PathBuf> {
    let paths = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?.trim_start_matches('/')))
    });
    let root = Path::new("/sys/fs/cgroup");
    let candidates = paths.map(|(controllers, path)| {
        let mount = if controllers.is_empty() {
            root.to_owned()
        } else {
            root.join(controllers)
        };
        mount.join(path)
    });
    let mut leaves = candidates.filter(|leaf| leaf.join("cpu.stat").is_file());
    leaves.find(|leaf| leaf.join("cpu.max").is_file() || leaf.join("cpu.cfs_quota_us").is_file())
}

/// CPU time of a leaf: `cpu.stat` says it on v2; on v1 the accounting controller does.
fn usage_ns(leaf: &Path) -> Result<u64, CliError> {
    if let Some(us) = field(&read(&leaf.join("cpu.stat"))?, "usage_usec") {
        return Ok(us * 1000);
    }
    let root = Path::new("/sys/fs/cgroup");
    let beneath = leaf.strip_prefix(root).ok().and_then(|path| {
        let mut parts = path.components();
        parts.next()?;
        Some(parts.as_path().to_owned())
    });
    let path = beneath.map(|path| root.join("cpuacct").join(path).join("cpuacct.usage"));
    let text = match path.filter(|path| path.is_file()) {
        Some(path) => read(&path)?,
        None => return process_ns(leaf),
    };
    text.trim()
        .parse()
        .map_err(|_| CliError::failure("cpuacct.usage holds no number"))
}

/// Without an accounting controller of its own: the time of the processes in the leaf.
fn process_ns(leaf: &Path) -> Result<u64, CliError> {
    let pids = read(&leaf.join("cgroup.procs"))?;
    let ticks = pids.lines().filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
        Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
    });
    Ok(ticks.sum::<u64>() * 10_000_000)
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn read(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path)
        .map_err(|error| CliError::failure(format!("failed to read `{}`: {error}", path.display())))
}

/// Waits until a workload has ended, and says how.
pub(super) async fn wait_for_end(stage: &Stage, id: &str) -> Result<Workload, CliError> {
    let client = stage.client()?;
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let request = GetWorkloadRequest { id: id.to_owned() };
        let reply = client
            .call(client.workloads().get_workload(request))
            .await?;
        let workload = reply.workload.unwrap_or_default();
        let ended = matches!(
            workload.state(),
            WorkloadState::Failed | WorkloadState::Succeeded
        );
        if ended || workload.cause() != Cause::Unspecified {
            return Ok(workload);
        }
        if Instant::now() >= end {
            return Err(CliError::failure(format!("{id} does not end")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
