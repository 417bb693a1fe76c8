//! Room that must be kept for work that fits in few places.
//!
//! Work that is bound to some nodes, by model, by size, or because it wants many GPUs of one, is
//! refused when more flexible work has taken that room first. If the mix goes on coming until the
//! cluster is full, bound work will ask for its part of all that is free now; where its places
//! hold no more than that, they are short, and others pay for what they take of them.

use crate::packing::{Demand, Gpus, Mix, Room};
use dovetail_model::units::{Bytes, CpuMilli, WHOLE_GPU};

/// Places are short from a tenth above what is expected: arrivals vary, and what is left of a
/// place is not always of use.
const MARGIN_PERCENT: u128 = 110;

/// Places that are short stay so until there is this much more: each change costs a look at every
/// node.
const SLACK_PERCENT: u128 = 5;

/// Most kinds of bound work that are watched, those that ask for most first: each is looked at
/// for every node at a refresh.
const RESERVES_MAX: usize = 64;

/// By kind of node: whether an empty one takes a member.
type Kinds = Vec<bool>;

/// Where members of a demand can go at all.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// The reserves that they are bound in themselves, as bits by number: there they pay nothing.
    within: u64,
}

/// Places of work that is bound alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reserve {
    kinds: Kinds,
    /// Whole GPUs of one node that it takes at least.
    gpus: u32,
    /// What a place must have beside GPUs: the mean of the classes that are bound exactly so.
    cpu: CpuMilli,
    memory: Bytes,
    /// Compute that the mix asks for in these places and no others.
    asked: u128,
    /// Compute of the places that there are, in all rooms.
    places_milli: u128,
    short: bool,
}

/// A class, where it can go, and how often it comes.
type Bound<'a> = (&'a Demand, Kinds, u64);

/// The reserves of a mix, the one that most is asked of first; none is short yet.
pub(super) fn of(mix: &Mix, kinds: &[Room]) -> Vec<Reserve> {
    let classes = mix.classes.iter();
    let bound: Vec<Bound<'_>> = classes
        .filter(|(demand, _)| demand.gpus != Gpus::None)
        .map(|(demand, weight)| (demand, taking(kinds, demand), *weight))
        .filter(|(_, kinds, _)| kinds.contains(&true))
        .collect();
    let everywhere = kinds.iter().map(|empty| !empty.gpus.is_empty());
    let everywhere: Kinds = everywhere.collect();
    let mut reserves: Vec<Reserve> = Vec::new();
    for (demand, kinds, _) in &bound {
        let gpus = demand.gpu_count();
        let known = |reserve: &Reserve| reserve.gpus == gpus && reserve.kinds == *kinds;
        if (gpus > 1 || *kinds != everywhere) && !reserves.iter().any(known) {
            reserves.push(Reserve::new(kinds, gpus, &bound));
        }
    }
    reserves.sort_by_key(|reserve| std::cmp::Reverse(reserve.asked));
    reserves.truncate(RESERVES_MAX);
    reserves
}

/// What these reserves say of a demand.
pub(super) fn hosts(reserves: &[Reserve], kinds: &[Room], demand: &Demand) -> Hosts {
    let (kinds, gpus) = (taking(kinds, demand), demand.gpu_count());
    let within = |reserve: &Reserve| gpus >= reserve.gpus && is_within(&kinds, &reserve.kinds);
    let bits = reserves.iter().zip(0..u64::BITS);
    let within = bits.filter(|(reserve, _)| within(reserve));
    Hosts {
        within: within.fold(0, |bits, (_, number)| bits | 1 << number),
    }
}

fn taking(kinds: &[Room], demand: &Demand) -> Kinds {
    kinds.iter().map(|empty| empty.fits(demand)).collect()
}

/// Compute that the mix asks for.
pub(super) fn asked(mix: &Mix) -> u128 {
    let classes = mix.classes.iter();
    classes
        .map(|(demand, weight)| compute(demand, *weight))
        .sum()
}

/// Says which reserves are short now, and returns whether each has changed. `free` is the compute
/// that is free in all rooms.
pub(super) fn judge(reserves: &mut [Reserve], asked: u128, free: u128) -> Vec<bool> {
    let change = reserves.iter_mut().map(|reserve| {
        let margin = if reserve.short {
            MARGIN_PERCENT + SLACK_PERCENT
        } else {
            MARGIN_PERCENT
        };
        let expected = free * reserve.asked * margin;
        let short = reserve.places_milli * asked * 100 < expected;
        std::mem::replace(&mut reserve.short, short) != short
    });
    change.collect()
}

impl Reserve {
    fn new(kinds: &Kinds, gpus: u32, bound: &[Bound<'_>]) -> Self {
        let within = bound
            .iter()
            .filter(|(demand, other, _)| demand.gpu_count() >= gpus && is_within(other, kinds));
        let asked = within.map(|(demand, _, weight)| compute(demand, *weight));
        let alike = bound
            .iter()
            .filter(|(demand, other, _)| demand.gpu_count() == gpus && other == kinds);
        let mean = |amount: &dyn Fn(&Demand) -> u64| {
            let sums = alike
                .clone()
                .fold((0, 0), |(sum, count), (demand, _, weight)| {
                    let weight = u128::from(*weight);
                    (sum + u128::from(amount(demand)) * weight, count + weight)
                });
            u64::try_from(sums.0 / sums.1.max(1)).unwrap_or(u64::MAX)
        };
        Self {
            kinds: kinds.clone(),
            gpus,
            cpu: CpuMilli(mean(&|demand| demand.cpu.0)),
            memory: Bytes(mean(&|demand| demand.memory.0)),
            asked: asked.sum(),
            places_milli: 0,
            short: false,
        }
    }

    /// Counts the places anew.
    pub(super) fn count(&mut self, rooms: &[Room]) {
        let places = rooms.iter().map(|room| u128::from(self.milli_of(room)));
        self.places_milli = places.sum();
    }

    /// A room is another now.
    pub(super) fn follow(&mut self, before: &Room, after: &Room) {
        let (gone, come) = (self.milli_of(before), self.milli_of(after));
        self.places_milli = (self.places_milli + u128::from(come)).saturating_sub(gone.into());
    }

    /// Whether others must pay here.
    pub(super) fn is_short_on(&self, kind: u32) -> bool {
        self.short && self.is_on(kind)
    }

    fn is_on(&self, kind: u32) -> bool {
        self.kinds.get(kind as usize).copied().unwrap_or(false)
    }

    /// What a member pays to the reserve of this number that takes this of a room: nothing if it
    /// is bound here itself.
    pub(super) fn toll(&self, number: usize, room: &Room, empty: u32, taken: Taken<'_>) -> u64 {
        let Taken {
            demand,
            hosts,
            compute,
            broken,
        } = taken;
        if hosts.within >> number & 1 == 1 {
            return 0;
        }
        if self.gpus == 1 {
            return compute;
        }
        let before = self.places(empty, room.cpu, room.memory);
        let (cpu, memory) = (room.cpu.minus(demand.cpu), room.memory.minus(demand.memory));
        let after = self.places(empty.saturating_sub(broken), cpu, memory);
        before.saturating_sub(after) * self.milli()
    }

    /// Compute of the places in this room.
    pub(super) fn milli_of(&self, room: &Room) -> u64 {
        if !self.is_on(room.kind) || room.slices == 0 {
            return 0;
        }
        if self.gpus == 1 {
            return room.compute().0;
        }
        self.places(empty(room), room.cpu, room.memory) * self.milli()
    }

    fn places(&self, empty: u32, cpu: CpuMilli, memory: Bytes) -> u64 {
        let gpus = u64::from(empty / self.gpus);
        let cpu = cpu.0.checked_div(self.cpu.0).unwrap_or(gpus);
        let memory = memory.0.checked_div(self.memory.0).unwrap_or(gpus);
        gpus.min(cpu).min(memory)
    }

    /// Compute of one place.
    fn milli(&self) -> u64 {
        WHOLE_GPU.times(self.gpus.into()).0
    }
}

/// What a member would take of a room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken<'a> {
    pub(super) demand: &'a Demand,
    pub(super) hosts: &'a Hosts,
    /// Of GPUs.
    pub(super) compute: u64,
    /// Empty GPUs that are no longer.
    pub(super) broken: u32,
}

/// GPUs that can be given whole.
pub(super) fn empty(room: &Room) -> u32 {
    let empty = room.gpus.iter().filter(|gpu| gpu.empty);
    u32::try_from(empty.count()).unwrap_or(u32::MAX)
}

fn is_within(kinds: &Kinds, others: &Kinds) -> bool {
    let mut pairs = kinds.iter().zip(others);
    pairs.all(|(kind, other)| !kind || *other)
}

/// Compute that so many members take, on the first device that does for them.
fn compute(demand: &Demand, members: u64) -> u128 {
    let each = demand.takes.iter().flatten().next();
    let each = each.map_or(0, |take| u128::from(take.compute.0));
    each * u128::from(demand.gpu_count()) * u128::from(members)
}
