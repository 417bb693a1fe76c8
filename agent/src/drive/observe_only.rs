//! Looks at a host and says what it sees. Nothing is made, changed, stopped or obeyed.

use super::{RunError, set_up};
use crate::{
    config::Config,
    observe::{
        container::containers,
        gpu::{DEADLINE, GpuMonitor, GpuReading},
        host::{HostReader, capacity},
        process::ProcessOwner,
    },
};
use std::{collections::BTreeSet, thread::sleep, time::Duration};
use tracing::{info, warn};

const EVERY: Duration = Duration::from_secs(10);

/// Prints what the host has, measures and runs, until the process is ended.
pub fn observe_only(config: &Config) -> Result<(), RunError> {
    let capacity = capacity(&config.proc_root)?;
    let mut host = HostReader::open(&config.proc_root, capacity)?;
    let owner = ProcessOwner::new(&config.proc_root, &config.cgroup_parent);
    let mut gpus = GpuMonitor::start(config.nvml_library.clone(), owner, DEADLINE)
        .map_err(set_up("the thread that reads GPUs"))?;
    info!(node = %config.node, cpu = %capacity.cpu, memory = %capacity.memory,
        "observing only: nothing is enforced and no scheduler is obeyed");
    let mut known = BTreeSet::new();
    loop {
        let sample = host.sample()?;
        info!(cpu = %sample.cpu, memory = %sample.memory, load_hundredths = sample.load_hundredths,
            cpu_pressure = ?sample.cpu_pressure, "host");
        for reading in gpus.wait() {
            say_gpu(reading);
        }
        say_containers(config, &mut known);
        sleep(EVERY);
    }
}

fn say_gpu(reading: &GpuReading) {
    let (facts, sample) = (&reading.facts, &reading.sample);
    info!(gpu = facts.index, model = %facts.model, uuid = %facts.uuid, health = %reading.health,
        utilization_percent = ?sample.utilization_percent,
        memory = ?sample.memory.map(|m| m.to_string()), of = %facts.memory,
        external = %sample.external, "gpu");
}

fn say_containers(config: &Config, known: &mut BTreeSet<String>) {
    let found = match containers(&config.proc_root) {
        Ok(found) => found,
        Err(error) => return warn!(%error, root = %config.proc_root.display(), "no processes seen"),
    };
    for container in &found {
        if known.insert(container.id.clone()) {
            info!(id = container.id, runtime = container.runtime, processes = container.processes,
                cgroup = %container.cgroup.display(), "container of another program");
        }
    }
    known.retain(|id| found.iter().any(|container| container.id == *id));
}
