//! The product's packing problem: rooms of nodes with GPUs, and demands.

use super::packing::{Host, Packing, Slots, Work};
use dovetail_core::packing::{Demand, GpuRoom, Gpus, Room};

/// GPUs of a node that are looked at: as many as there are bits for slots.
pub(super) const GPUS_MAX: usize = 64;

/// Rooms and demands in classes.
#[derive(Debug, Clone)]
pub(super) struct Rooms {
    hosts: Vec<Host>,
    works: Vec<Work>,
    rooms: Vec<Filling>,
    demands: Vec<Size>,
    /// By work, device by device.
    takes: Vec<Option<Part>>,
    devices: usize,
    /// By host: compute and memory of all its GPUs.
    totals: Vec<(u64, u64)>,
}

/// What a work takes beside GPUs.
#[derive(Debug, Clone)]
struct Size {
    cpu: u64,
    memory: u64,
    tenant: u32,
    gpus: Gpus,
    kinds: Vec<bool>,
}

/// What it takes of one GPU.
#[derive(Debug, Clone, Copy)]
struct Part {
    compute: u64,
    memory: u64,
}

/// A room while it is being filled.
#[derive(Debug, Clone)]
pub(super) struct Filling {
    kind: u32,
    cpu: u64,
    memory: u64,
    slices: u32,
    gpus: Vec<GpuRoom>,
}

impl Rooms {
    pub(super) fn new(rooms: &[(Room, u32)], demands: &[(Demand, Work)]) -> Self {
        let devices = demands.iter().map(|(demand, _)| demand.takes.len()).max();
        let devices = devices.unwrap_or(0);
        let parts = |demand: &Demand| -> Vec<Option<Part>> {
            let devices = (0..).take(devices);
            let part = |device| {
                demand.take_of(device).map(|take| Part {
                    compute: take.compute.0,
                    memory: take.memory.0,
                })
            };
            devices.map(part).collect()
        };
        let host = |(_, count): &(Room, u32)| Host {
            count: *count,
            cost: 0.0,
        };
        Self {
            hosts: rooms.iter().map(host).collect(),
            works: demands.iter().map(|(_, work)| *work).collect(),
            rooms: rooms.iter().map(|(room, _)| filling(room)).collect(),
            demands: demands.iter().map(|(demand, _)| size(demand)).collect(),
            takes: demands
                .iter()
                .flat_map(|(demand, _)| parts(demand))
                .collect(),
            devices,
            totals: rooms.iter().map(|(room, _)| totals(room)).collect(),
        }
    }

    fn part(&self, work: usize, device: u32) -> Option<Part> {
        let device = device as usize;
        if device >= self.devices {
            return None;
        }
        self.takes[work * self.devices + device]
    }

    /// Whether everything but GPUs is there.
    fn has_room(&self, fill: &Filling, size: &Size) -> bool {
        fill.cpu >= size.cpu
            && fill.memory >= size.memory
            && fill.slices > 0
            && size.kinds.get(fill.kind as usize).copied().unwrap_or(false)
    }

    /// The GPU that is left with least.
    fn tightest(&self, fill: &Filling, work: usize, tenant: u32) -> Option<Slots> {
        let mut best = None;
        for (index, gpu) in fill.gpus.iter().enumerate() {
            let Some(part) = self.part(work, gpu.device) else {
                continue;
            };
            if !shares(gpu, part, tenant) {
                continue;
            }
            let rest = (gpu.compute.0 - part.compute, gpu.memory.0 - part.memory);
            if best.is_none_or(|(least, _)| rest < least) {
                best = Some((rest, index));
            }
        }
        best.map(|(_, index)| 1 << index)
    }

    /// The first GPUs that can be given whole.
    fn whole(&self, fill: &Filling, work: usize, count: u32) -> Option<Slots> {
        let mut slots = 0;
        let mut missing = count;
        for (index, gpu) in fill.gpus.iter().enumerate() {
            if missing == 0 {
                break;
            }
            if gpu.empty && self.part(work, gpu.device).is_some() {
                slots |= 1 << index;
                missing -= 1;
            }
        }
        (missing == 0).then_some(slots)
    }

    fn take(&self, fill: &mut Filling, work: usize, slots: Slots) {
        let size = &self.demands[work];
        fill.cpu -= size.cpu;
        fill.memory -= size.memory;
        fill.slices -= 1;
        let mut bits = slots;
        while bits != 0 {
            let gpu = &mut fill.gpus[bits.trailing_zeros() as usize];
            bits &= bits - 1;
            let device = gpu.device as usize;
            let part = self.takes[work * self.devices + device];
            let part = part.expect("only GPUs that will do are chosen");
            gpu.compute.0 = gpu.compute.0.saturating_sub(part.compute);
            gpu.memory.0 = gpu.memory.0.saturating_sub(part.memory);
            gpu.empty = false;
            gpu.tenant = Some(size.tenant);
        }
    }
}

impl Packing for Rooms {
    type Fill = Filling;

    fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    fn works(&self) -> &[Work] {
        &self.works
    }

    fn empty(&self, host: usize) -> Filling {
        self.rooms[host].clone()
    }

    fn reset(&self, host: usize, fill: &mut Filling) {
        fill.clone_from(&self.rooms[host]);
    }

    fn add(&self, fill: &mut Filling, work: usize) -> Option<Slots> {
        let size = &self.demands[work];
        if !self.has_room(fill, size) {
            return None;
        }
        let slots = match size.gpus {
            Gpus::None => 0,
            Gpus::Share => self.tightest(fill, work, size.tenant)?,
            Gpus::Whole(count) => self.whole(fill, work, count)?,
        };
        self.take(fill, work, slots);
        Some(slots)
    }

    fn put(&self, fill: &mut Filling, work: usize, slots: Slots) -> bool {
        let size = &self.demands[work];
        let counts = match size.gpus {
            Gpus::None => 0,
            Gpus::Share => 1,
            Gpus::Whole(count) => count,
        };
        let fits = |index: usize| {
            let gpu = fill.gpus.get(index)?;
            let part = self.part(work, gpu.device)?;
            let whole = matches!(size.gpus, Gpus::Whole(_));
            Some(if whole {
                gpu.empty
            } else {
                shares(gpu, part, size.tenant)
            })
        };
        let all = (0..GPUS_MAX).filter(|index| slots >> index & 1 == 1);
        let fits = self.has_room(fill, size)
            && slots.count_ones() == counts
            && all.map(fits).all(|fits| fits == Some(true));
        if fits {
            self.take(fill, work, slots);
        }
        fits
    }

    fn dimensions(&self) -> usize {
        3
    }

    fn share(&self, host: usize, work: usize, dimension: usize) -> f32 {
        let (room, size) = (&self.rooms[host], &self.demands[work]);
        match dimension {
            0 => part_of(size.cpu, room.cpu),
            1 => part_of(size.memory, room.memory),
            _ => self.gpu_share(host, work),
        }
    }
}

impl Rooms {
    /// Compute or memory of GPUs, whichever is more of the room.
    fn gpu_share(&self, host: usize, work: usize) -> f32 {
        let devices = self.rooms[host].gpus.iter().map(|gpu| gpu.device);
        let mut parts = devices.filter_map(|device| self.part(work, device));
        let (Some(part), (compute, memory)) = (parts.next(), self.totals[host]) else {
            return 0.0;
        };
        let count = match self.demands[work].gpus {
            Gpus::None => return 0.0,
            Gpus::Share => 1,
            Gpus::Whole(count) => u64::from(count),
        };
        let share = part_of(part.compute * count, compute);
        share.max(part_of(part.memory * count, memory))
    }
}

/// Whether a share fits beside what is on a GPU.
fn shares(gpu: &GpuRoom, part: Part, tenant: u32) -> bool {
    gpu.compute.0 >= part.compute
        && gpu.memory.0 >= part.memory
        && gpu.tenant.is_none_or(|other| other == tenant)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a share orders a search and no more"
)]
fn part_of(part: u64, whole: u64) -> f32 {
    if part == 0 {
        return 0.0;
    }
    part as f32 / whole.max(1) as f32
}

fn filling(room: &Room) -> Filling {
    Filling {
        kind: room.kind,
        cpu: room.cpu.0,
        memory: room.memory.0,
        slices: room.slices,
        gpus: room.gpus.iter().copied().take(GPUS_MAX).collect(),
    }
}

fn size(demand: &Demand) -> Size {
    Size {
        cpu: demand.cpu.0,
        memory: demand.memory.0,
        tenant: demand.tenant,
        gpus: demand.gpus,
        kinds: demand.kinds.clone(),
    }
}

fn totals(room: &Room) -> (u64, u64) {
    let memory = room.gpus.iter().map(|gpu| gpu.memory.0).sum();
    (room.compute().0, memory)
}
