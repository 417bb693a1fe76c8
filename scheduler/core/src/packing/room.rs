//! The free room of a node.

use super::demand::{Demand, Gpus};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use serde::{Deserialize, Serialize};

/// Free room of a node. Equal rooms are equally good for everybody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Room {
    /// What the node is when it is empty: nodes of a kind differ by name alone.
    pub kind: u32,
    /// CPU free.
    pub cpu: CpuMilli,
    /// Memory free.
    pub memory: Bytes,
    /// Members that may be added; 0 on a node that is closed.
    pub slices: u32,
    /// By index.
    pub gpus: Vec<GpuRoom>,
}

/// Free room of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GpuRoom {
    /// What the GPU is: its model, memory and levels of enforcement.
    pub device: u32,
    /// Compute free; none if the GPU cannot be used.
    pub compute: GpuMilli,
    /// Memory free.
    pub memory: Bytes,
    /// Nobody is on it and nothing foreign: it can be given whole.
    pub empty: bool,
    /// Whose sharers are on it, if only a tenant's own may join them.
    pub tenant: Option<u32>,
}

impl Room {
    /// Whether a member fits.
    pub fn fits(&self, demand: &Demand) -> bool {
        self.slices > 0
            && self.cpu >= demand.cpu
            && self.memory >= demand.memory
            && demand.may_go_to(self.kind)
            && match demand.gpus {
                Gpus::None => true,
                Gpus::Share => self.fitting(demand).next().is_some(),
                Gpus::Whole(count) => self.fitting(demand).count() >= count as usize,
            }
    }

    /// Members that fit beside each other, up to so many.
    pub fn members(&self, demand: &Demand, most: u32) -> u32 {
        if !self.fits(demand) {
            return 0;
        }
        if most == 1 {
            return 1;
        }
        let mut room = self.clone();
        let fits = |_: &u32| {
            let fits = room.fits(demand);
            if fits {
                let wanted = demand.gpu_count() as usize;
                let gpus: Vec<usize> = room.fitting(demand).take(wanted).collect();
                room.take(demand, &gpus);
            }
            fits
        };
        let count = (0..most).take_while(fits).count();
        u32::try_from(count).unwrap_or(most)
    }

    /// GPUs that take a share of this demand, or can be given to it whole.
    pub fn fitting<'a>(&'a self, demand: &'a Demand) -> impl Iterator<Item = usize> + 'a {
        let gpus = self.gpus.iter().enumerate();
        gpus.filter(|(_, gpu)| gpu.fits(demand))
            .map(|(index, _)| index)
    }

    /// Takes the room of a member that fits on these GPUs.
    pub fn take(&mut self, demand: &Demand, gpus: &[usize]) {
        self.cpu = self.cpu.minus(demand.cpu);
        self.memory = self.memory.minus(demand.memory);
        self.slices = self.slices.saturating_sub(1);
        for index in gpus {
            self.gpus[*index].take(demand);
        }
    }

    /// Gives back what a member has of these GPUs. `bare` is the node without anybody.
    pub fn give_back(&mut self, demand: &Demand, gpus: &[usize], bare: &Self) {
        self.cpu = CpuMilli(self.cpu.0.saturating_add(demand.cpu.0).min(bare.cpu.0));
        self.memory = Bytes((self.memory.0.saturating_add(demand.memory.0)).min(bare.memory.0));
        self.slices = self.slices.saturating_add(1).min(bare.slices);
        for index in gpus {
            self.gpus[*index].give_back(demand, &bare.gpus[*index]);
        }
    }

    /// Compute free on all GPUs.
    pub fn compute(&self) -> GpuMilli {
        self.gpus.iter().map(|gpu| gpu.compute).sum()
    }
}

impl GpuRoom {
    /// Whether it takes a share of this demand, or can be given to it whole.
    pub fn fits(&self, demand: &Demand) -> bool {
        let Some(take) = demand.take_of(self.device) else {
            return false;
        };
        match demand.gpus {
            Gpus::None => false,
            Gpus::Whole(_) => self.empty,
            Gpus::Share => {
                self.compute >= take.compute
                    && self.memory >= take.memory
                    && self.tenant.is_none_or(|tenant| tenant == demand.tenant)
            }
        }
    }

    /// Takes the room of a member that fits.
    pub fn take(&mut self, demand: &Demand) {
        let Some(take) = demand.take_of(self.device) else {
            return;
        };
        self.compute = self.compute.minus(take.compute);
        self.memory = self.memory.minus(take.memory);
        self.empty = false;
        self.tenant = Some(demand.tenant);
    }

    /// Gives back what a member has of it. `bare` is the GPU without anybody.
    fn give_back(&mut self, demand: &Demand, bare: &Self) {
        let Some(take) = demand.take_of(self.device) else {
            return;
        };
        let compute = self.compute.0.saturating_add(take.compute.0);
        let memory = self.memory.0.saturating_add(take.memory.0);
        self.compute = GpuMilli(compute.min(bare.compute.0));
        self.memory = Bytes(memory.min(bare.memory.0));
        if (self.compute, self.memory) == (bare.compute, bare.memory) {
            *self = *bare;
        }
    }
}
