//! One room, looked at once and scored for many demands.

use super::{
    Scored, Scorer,
    kind::Kind,
    reserve::{self, Hosts, Taken},
    state::{self, State, WHOLE_ONE},
    table::{Row, WEIGHT_BITS},
};
use crate::packing::{Demand, Gpus, Room};
use dovetail_model::units::{CpuMilli, WHOLE_GPU};
use std::borrow::Cow;

/// Value of a place that spoils and costs nothing but its level. Sixteen whole GPUs at twice
/// their common price, on places that are short, stay above zero.
const VALUE_BASE: i64 = 50_000;

/// Compute of an empty GPU.
const WHOLE: i64 = WHOLE_GPU.0.cast_signed();

/// What is seen of a room once for all demands. It is good as long as the room and the scorer are
/// the same.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    states: Vec<State>,
    empty: u32,
    /// What typical work can use of it, as it is, less what lacks CPU.
    worth: i64,
}

/// How good a place is before its host's CPU and memory are paid for.
#[derive(Debug, Clone, Copy)]
pub struct Rated {
    value: i64,
    gpus: u64,
}

/// A room, and what was seen of it.
#[derive(Debug)]
pub struct Looked<'a> {
    scorer: &'a Scorer,
    room: &'a Room,
    /// Nothing if the room is of a kind that the scorer has not been told of.
    kind: Option<&'a Kind>,
    seen: Cow<'a, Seen>,
}

impl Seen {
    pub(super) fn of(kind: &Kind, room: &Room) -> Self {
        let mut seen = Self {
            states: state::of(room, &kind.groups),
            empty: reserve::empty(room),
            worth: 0,
        };
        seen.worth = seen.rest(kind, room.cpu).worth(kind);
        seen
    }

    /// The room with so much CPU and all of its GPUs.
    fn rest<'k>(&self, kind: &'k Kind, cpu: CpuMilli) -> Rest<'k> {
        let mut rest = Rest {
            cpu: cpu.0,
            fed: kind.fed(cpu.0),
            first_row: kind.tables.first().map(|table| table.row(cpu.0)),
            compute: 0,
            used_by_one: 0,
            empty: 0,
            paid: 0,
        };
        for state in &self.states {
            rest.put(kind, *state, state.count());
        }
        rest
    }
}

impl<'a> Looked<'a> {
    pub(super) fn new(scorer: &'a Scorer, room: &'a Room, seen: Cow<'a, Seen>) -> Self {
        Self {
            scorer,
            room,
            kind: scorer.kinds.get(room.kind as usize),
            seen,
        }
    }

    /// How good the room is for a member, or nothing if it does not fit. `hosts` is what the
    /// scorer says of the demand.
    pub fn score(&self, demand: &Demand, hosts: &Hosts) -> Option<Scored> {
        self.score_alike(demand, hosts, &mut None)
    }

    /// The same. `kept` is from demands that differ in memory alone, and for them: most of what is
    /// to be found out is the same for all.
    pub fn score_alike(
        &self,
        demand: &Demand,
        hosts: &Hosts,
        kept: &mut Option<Option<Rated>>,
    ) -> Option<Scored> {
        let kind = self.kind?;
        let room = self.room;
        let cpu = room.cpu.checked_minus(demand.cpu)?;
        if room.slices == 0 || room.memory < demand.memory || !demand.may_go_to(room.kind) {
            return None;
        }
        // Tolls look at memory.
        if self.scorer.short_on(room.kind).next().is_some() {
            *kept = None;
        }
        let rate = || self.rate(kind, demand, hosts, cpu);
        let rated = (*kept.get_or_insert_with(rate))?;
        let value = rated.value - kind.host(demand);
        Some(Scored {
            value: u16::try_from(value.max(0)).unwrap_or(u16::MAX),
            gpus: rated.gpus,
        })
    }

    fn rate(&self, kind: &Kind, demand: &Demand, hosts: &Hosts, cpu: CpuMilli) -> Option<Rated> {
        let taken = Taken {
            demand,
            hosts,
            compute: 0,
            broken: 0,
        };
        match demand.gpus {
            Gpus::None => Some(self.rated(kind, taken, &self.seen.rest(kind, cpu), 0)),
            Gpus::Share => self.share(kind, taken, cpu),
            Gpus::Whole(count) => self.whole(kind, taken, cpu, count),
        }
    }

    /// On the best GPU; the first of equals.
    fn share(&self, kind: &Kind, mut taken: Taken<'_>, cpu: CpuMilli) -> Option<Rated> {
        let demand = taken.demand;
        let states = self.seen.states.iter();
        let mut fitting = states.filter(|state| state.gpu.fits(demand)).peekable();
        fitting.peek()?;
        let whole = self.seen.rest(kind, cpu);
        let mut best: Option<Rated> = None;
        for state in fitting {
            let after = state.after(demand, kind.groups[state.group].1);
            let mut rest = whole;
            rest.remove(kind, *state, 1);
            rest.add(kind, after);
            taken.compute = demand.compute_on(state.gpu.device).0;
            taken.broken = u32::from(state.gpu.empty);
            let rated = self.rated(kind, taken, &rest, state.first(1));
            if best.is_none_or(|best| rated.value > best.value) {
                best = Some(rated);
            }
        }
        best
    }

    /// The first GPUs that can be given whole.
    fn whole(&self, kind: &Kind, mut taken: Taken<'_>, cpu: CpuMilli, count: u32) -> Option<Rated> {
        // Most nodes of a full cluster go no further.
        if self.seen.empty < count {
            return None;
        }
        let mut rest = self.seen.rest(kind, cpu);
        let (mut missing, mut gpus) = (count, 0);
        for state in &self.seen.states {
            if state.gpu.fits(taken.demand) {
                let here = state.gpus.count_ones().min(missing);
                rest.remove(kind, *state, here);
                gpus |= state.first(here);
                missing -= here;
            }
        }
        taken.broken = count;
        taken.compute = WHOLE_GPU.times(count.into()).0;
        (missing == 0).then(|| self.rated(kind, taken, &rest, gpus))
    }

    fn rated(&self, kind: &Kind, taken: Taken<'_>, rest: &Rest<'_>, gpus: u64) -> Rated {
        let gain = (rest.worth(kind) - self.seen.worth) >> WEIGHT_BITS;
        let tolls = self.scorer.short_on(self.room.kind);
        let tolls =
            tolls.map(|(number, short)| short.toll(number, self.room, self.seen.empty, taken));
        let toll = tolls.max().map_or(0, u64::cast_signed);
        let value = VALUE_BASE + self.scorer.levels.of(gain) - rest.paid - toll;
        Rated { value, gpus }
    }
}

/// What is left of a room if a member is taken in, in sums.
#[derive(Debug, Clone, Copy)]
struct Rest<'k> {
    cpu: u64,
    /// Compute that the CPU feeds.
    fed: i64,
    /// Of the first group, which most nodes have alone.
    first_row: Option<&'k Row>,
    compute: i64,
    /// Compute that classes with one GPU can use, each as much as it weighs.
    used_by_one: i64,
    empty: i64,
    /// Prices paid.
    paid: i64,
}

impl Rest<'_> {
    fn remove(&mut self, kind: &Kind, state: State, count: u32) {
        self.put(kind, state, -i64::from(count));
        self.paid += kind.slices(state.room) * i64::from(count);
    }

    fn add(&mut self, kind: &Kind, state: State) {
        self.put(kind, state, 1);
        self.paid -= kind.slices(state.room);
    }

    fn put(&mut self, kind: &Kind, state: State, count: i64) {
        let table = &kind.tables[state.group];
        let row = match self.first_row {
            Some(row) if state.group == 0 => row,
            _ => table.row(self.cpu),
        };
        let compute = state.compute * count;
        self.compute += compute;
        self.used_by_one += compute * row.single(table.bucket(state.room));
        self.empty += if state.room == WHOLE_ONE { count } else { 0 };
    }

    /// What typical work can use, less everything that is there and less what lacks CPU.
    fn worth(&self, kind: &Kind) -> i64 {
        let gang = self.first_row.map_or(0, |row| row.gang(self.empty));
        let used = self.used_by_one + WHOLE * self.empty * gang;
        let stranded = (self.compute - self.fed).max(0);
        used - self.compute * kind.wanted - (stranded << WEIGHT_BITS)
    }
}
