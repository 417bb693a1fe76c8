//! Room that waiting work can use: what no sum of requests reaches is as good as taken.
//!
//! On a loaded cluster nearly every node is different; cut down to what is useful, many are equal,
//! and nothing that fits is lost.

use dovetail_core::packing::{Demand, GpuRoom, Gpus, Room, Take};

/// Steps of a ladder at most: finer ones are not worth their time, and room is left as it is.
const STEPS_MAX: u64 = 4096;

/// The sums that requests can reach.
#[derive(Debug)]
struct Ladder {
    unit: u64,
    /// By units: the largest sum up to here, in units.
    sums: Vec<u64>,
}

impl Ladder {
    /// None if the requests have no coarse common unit.
    fn of(requests: impl Iterator<Item = u64> + Clone, most: u64) -> Option<Self> {
        let unit = requests.clone().fold(0, greatest_common_divisor);
        if unit == 0 || most / unit > STEPS_MAX {
            return None;
        }
        let steps = usize::try_from(most / unit).ok()?;
        let mut reached = vec![false; steps + 1];
        reached[0] = true;
        let mut sizes: Vec<usize> = requests
            .filter_map(|r| usize::try_from(r / unit).ok())
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        for size in sizes.into_iter().filter(|size| (1..=steps).contains(size)) {
            for sum in size..=steps {
                reached[sum] |= reached[sum - size];
            }
        }
        let mut last = 0;
        let sums = (0..).zip(reached).map(|(sum, reached)| {
            last = if reached { sum } else { last };
            last
        });
        Some(Self {
            unit,
            sums: sums.collect(),
        })
    }

    fn cut(&self, room: u64) -> u64 {
        let step = usize::try_from(room / self.unit).unwrap_or(usize::MAX);
        let last = self.sums.len() - 1;
        self.sums[step.min(last)] * self.unit
    }
}

/// Cuts rooms down for some demands.
#[derive(Debug)]
pub(super) struct Useful<'a> {
    demands: &'a [Demand],
    cpu: Option<Ladder>,
    memory: Option<Ladder>,
    /// By device: compute and memory.
    devices: Vec<(Option<Ladder>, Option<Ladder>)>,
}

impl<'a> Useful<'a> {
    /// For rooms of at most the size of these.
    pub(super) fn new(demands: &'a [Demand], rooms: &[Room]) -> Self {
        let cpu = rooms.iter().map(|room| room.cpu.0).max().unwrap_or(0);
        let memory = rooms.iter().map(|room| room.memory.0).max().unwrap_or(0);
        let devices = demands.iter().map(|demand| demand.takes.len()).max();
        let device = |device| {
            let gpus = rooms.iter().flat_map(|room| &room.gpus);
            let gpus = gpus.filter(|gpu| gpu.device == device);
            let most = gpus.fold((0, 0), |(c, m), gpu| {
                (gpu.compute.0.max(c), gpu.memory.0.max(m))
            });
            let takes = demands.iter().filter_map(|demand| share_of(demand, device));
            let compute = Ladder::of(takes.clone().map(|take| take.compute.0), most.0);
            (compute, Ladder::of(takes.map(|take| take.memory.0), most.1))
        };
        Self {
            demands,
            cpu: Ladder::of(demands.iter().map(|demand| demand.cpu.0), cpu),
            memory: Ladder::of(demands.iter().map(|demand| demand.memory.0), memory),
            devices: (0..).take(devices.unwrap_or(0)).map(device).collect(),
        }
    }

    /// The useful part of a room; nothing if no demand fits in it.
    pub(super) fn cut(&self, room: &Room) -> Option<Room> {
        if !self.demands.iter().any(|demand| room.fits(demand)) {
            return None;
        }
        let mut room = room.clone();
        cut(self.cpu.as_ref(), &mut room.cpu.0);
        cut(self.memory.as_ref(), &mut room.memory.0);
        for gpu in &mut room.gpus {
            self.cut_gpu(gpu);
        }
        Some(room)
    }

    fn cut_gpu(&self, gpu: &mut GpuRoom) {
        let wanted = self.demands.iter().any(|demand| gpu.fits(demand));
        if !wanted {
            (gpu.compute.0, gpu.memory.0) = (0, 0);
            (gpu.empty, gpu.tenant) = (false, None);
        } else if let (false, Some((compute, memory))) =
            (gpu.empty, self.devices.get(gpu.device as usize))
        {
            cut(compute.as_ref(), &mut gpu.compute.0);
            cut(memory.as_ref(), &mut gpu.memory.0);
        }
    }
}

fn cut(ladder: Option<&Ladder>, room: &mut u64) {
    if let Some(ladder) = ladder {
        *room = ladder.cut(*room);
    }
}

/// What a demand takes of a GPU that is not empty.
fn share_of(demand: &Demand, device: u32) -> Option<Take> {
    let shares = demand.gpus == Gpus::Share;
    shares.then(|| demand.take_of(device)).flatten()
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
