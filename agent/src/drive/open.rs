//! Finds out what the host has and what an earlier agent left, before anything is changed.

use super::{
    RunError,
    cycle::{Channels, Cycle, Sources},
    disk::Disk,
    set_up,
    worker::{Worker, found},
};
use crate::{
    agent::{Agent, AgentConfig, Recovered},
    config::Config,
    enforce::{EnforceConfig, Enforcer, FoundSlice},
    link::{Link, Outbox},
    observe::{
        Enforcement, Identity,
        gpu::{DEADLINE, GpuMonitor, GpuReading},
        host::{HostReader, boot_id, capacity},
        process::ProcessOwner,
    },
    spool::{Contents, Opened, Spool},
};
use dovetail_model::resources::Level;
use std::{collections::VecDeque, thread::sleep, time::Duration};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

/// Events of the link that may wait; beyond it the stream itself waits.
const EVENTS: usize = 64;
/// Answers of the worker that may wait.
const ANSWERS: usize = 1024;
/// Most processes and threads of a slice.
const PIDS_MAX: u64 = 16_384;
/// Looks at a slice that another agent was just making, and the pause between two.
const SETTLE: (u32, Duration) = (10, Duration::from_millis(500));

/// Must be called within the event loop.
pub(super) fn open(config: Config) -> Result<Cycle, RunError> {
    let Opened {
        spool,
        contents,
        warning,
    } = Spool::open(&config.state_dir)?;
    if let Some(warning) = warning {
        error!("{warning}");
    }
    let (enforcer, slices) = enforcer(&config)?;
    let (answers, done) = mpsc::channel(ANSWERS);
    let (sources, readings) = sources(&config, &enforcer)?;
    let agent = agent(&config, contents, &slices);
    let worker = Worker::start(enforcer, answers).map_err(set_up("the thread that enforces"))?;
    let (durable, written) = mpsc::channel(1);
    let disk = Disk::start(spool, durable).map_err(set_up("the thread that writes the spool"))?;
    let (events, linked) = mpsc::channel(EVENTS);
    let (inventory, watched) = watch::channel(sources.inventory(&readings));
    let outbox = Outbox::default();
    let link = Link {
        socket: config.scheduler_socket,
        node: config.node,
        boot_id: sources.identity.boot_id.clone(),
        inventory: watched,
        outbox: outbox.clone(),
        events,
    };
    let cycle = Cycle {
        agent,
        effects: VecDeque::new(),
        writing: None,
        disk,
        worker,
        outbox,
        readings,
        dev_root: config.dev_root,
        sources,
        channels: Channels {
            link: linked,
            done,
            written,
            inventory,
        },
        link: Some(link),
    };
    for slice in slices {
        cycle.watch_found(slice);
    }
    Ok(cycle)
}

fn enforcer(config: &Config) -> Result<(Enforcer, Vec<FoundSlice>), RunError> {
    let supervisor_exe = std::env::current_exe().map_err(set_up("the supervisor's path"))?;
    let enforcer = Enforcer::open(EnforceConfig {
        cgroup_root: config.cgroup_root.clone(),
        cgroup_parent: config.cgroup_parent.clone(),
        run_dir: config.run_dir.clone(),
        dev_root: config.dev_root.clone(),
        output_max_bytes: config.output_max.0,
        pids_max: PIDS_MAX,
        unconfined: config.unconfined,
        supervisor_exe,
    })?;
    let capabilities = enforcer.capabilities();
    info!(layout = ?enforcer.layout(), enforces = capabilities.enforces.join(", "), "limits");
    for why in &capabilities.not_enforced {
        warn!("not enforced: {why}");
    }
    let slices = settled(&enforcer)?;
    Ok((enforcer, slices))
}

/// What exists. A slice without descriptor and with a supervisor was being made when an earlier
/// agent was killed: it is given time, and then ended, since nobody knows what it holds.
fn settled(enforcer: &Enforcer) -> Result<Vec<FoundSlice>, RunError> {
    let unclear = |found: &&FoundSlice| {
        found.descriptor.is_none() && (found.supervisor.is_some() || found.has_processes)
    };
    for _ in 0..SETTLE.0 {
        let found = enforcer.scan()?;
        let half_made: Vec<_> = found
            .iter()
            .filter(unclear)
            .filter_map(|f| f.slice)
            .collect();
        if half_made.is_empty() {
            return Ok(found);
        }
        sleep(SETTLE.1);
        for slice in half_made {
            warn!(%slice, "half-made by an earlier agent; ending it");
            if let Err(error) = enforcer.kill(slice) {
                warn!(%slice, %error, "not ended");
            }
        }
    }
    Ok(enforcer.scan()?)
}

fn sources(config: &Config, enforcer: &Enforcer) -> Result<(Sources, Vec<GpuReading>), RunError> {
    let capacity = capacity(&config.proc_root)?;
    let owner = ProcessOwner::new(&config.proc_root, &config.cgroup_parent);
    let mut gpus = GpuMonitor::start(config.nvml_library.clone(), owner, DEADLINE)
        .map_err(set_up("the thread that reads GPUs"))?;
    let readings = gpus.wait().to_vec();
    let capabilities = enforcer.capabilities();
    let sources = Sources {
        identity: Identity {
            node: config.node.clone(),
            boot_id: boot_id(&config.proc_root)?,
            labels: config.labels.clone(),
            taints: config.taints.clone(),
        },
        capacity,
        reserve: config.reserve,
        enforcement: Enforcement {
            limits: capabilities.level >= Level::Shared,
            fence: capabilities.enforces.iter().any(|name| name == "devices"),
            usable: capabilities.level > Level::None || config.unconfined,
            enforces: capabilities.enforces.clone(),
            not_enforced: capabilities.not_enforced.clone(),
        },
        host: HostReader::open(&config.proc_root, capacity)?,
        gpus,
        complained: false,
    };
    info!(node = %config.node, cpu = %capacity.cpu, memory = %capacity.memory,
        gpus = readings.len(), "host read");
    if !sources.enforcement.usable {
        warn!("limits cannot be enforced and `unconfined` is off: this node offers nothing");
    }
    Ok((sources, readings))
}

/// Ends whose slices are gone come from the spool, and, should that be lost, from their records: one
/// told twice is acknowledged twice.
fn agent(config: &Config, contents: Contents, slices: &[FoundSlice]) -> Agent {
    let mut exits = contents.exits;
    for slice in slices {
        if let (Some(id), None, Some(record)) = (slice.slice, &slice.descriptor, &slice.exit) {
            exits.entry(id).or_insert_with(|| record.clone());
        }
        if slice.slice.is_none() {
            warn!(
                name = slice.name,
                "not a slice, among the slices; it is left alone"
            );
        }
    }
    let recovered = Recovered {
        highest: contents.highest,
        found: slices.iter().filter_map(found).collect(),
        exits: exits.into_iter().collect(),
    };
    info!(
        slices = recovered.found.len(),
        ends = recovered.exits.len(),
        "found of an earlier run"
    );
    let node = config.node.clone();
    Agent::new(AgentConfig { node }, recovered)
}
