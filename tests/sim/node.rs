//! One simulated host: its kernel, and the product's agent while it runs.

use crate::kernel::Kernel;
use dovetail_agent::agent::{Agent, AgentConfig, Effect, Input, Recovered};
use dovetail_core::input::SessionId;
use dovetail_model::{
    gpu::{GpuHealth, GpuInfo, GpuModel},
    id::{GpuUuid, NodeName},
    label::Labels,
    node::Inventory,
    resources::Level,
    time::Now,
    units::{Bytes, CpuMilli},
};

const GIB: u64 = 1 << 30;
const NAME: &str = "NVIDIA H100 80GB HBM3";

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: NodeName,
    gpus: u32,
    pub(crate) kernel: Kernel,
    pub(crate) agent: Option<Agent>,
    /// Counts lives of the agent: what was meant for an earlier one does not reach this one.
    pub(crate) life: u64,
    pub(crate) session: Option<SessionId>,
}

impl Node {
    pub(crate) fn new(index: u32, gpus: u32) -> Self {
        let name = NodeName::new(&format!("n{index}")).expect("a valid name");
        Self {
            name,
            gpus,
            kernel: Kernel::default(),
            agent: None,
            life: 0,
            session: None,
        }
    }

    /// The agent starts on what is there.
    pub(crate) fn start(&mut self, now: Now) -> Vec<Effect> {
        let recovered = Recovered {
            highest: self.kernel.highest.clone(),
            found: self.kernel.found(),
            exits: self.kernel.exits.clone().into_iter().collect(),
        };
        let mut agent = Agent::new(
            AgentConfig {
                node: self.name.clone(),
            },
            recovered,
        );
        let effects = agent.handle(Input::InventoryChanged(self.inventory()), now);
        self.agent = Some(agent);
        self.life += 1;
        effects
    }

    pub(crate) fn crash_agent(&mut self) {
        self.agent = None;
        self.life += 1;
        self.session = None;
    }

    pub(crate) fn crash_host(&mut self) {
        self.crash_agent();
        self.kernel.reboot();
    }

    pub(crate) fn inventory(&self) -> Inventory {
        let gpu = |index| GpuInfo {
            uuid: GpuUuid(format!("GPU-{}-{index}", self.name).into()),
            index,
            name: NAME.to_owned(),
            model: GpuModel::of(NAME, Bytes(80 * GIB)),
            memory: Bytes(80 * GIB),
            health: GpuHealth::Ok,
            share_level: Level::Shared,
            whole_level: Level::Isolated,
            pci_bus_id: String::new(),
        };
        Inventory {
            node: self.name.clone(),
            boot_id: self.kernel.boot_id(),
            agent_version: "sim".to_owned(),
            cpu: CpuMilli(32_000),
            memory: Bytes(256 * GIB),
            gpus: (0..self.gpus).map(gpu).collect(),
            level: Level::Shared,
            enforces: vec![],
            not_enforced: vec![],
            labels: Labels::new(),
            taints: vec![],
        }
    }
}
