//! The fast search: vacate the node where that costs least, and place who was there anew.
//!
//! Every node is tried directly first: each of its residents has to find a place by itself. Only
//! for the cheapest nodes others make way for those residents, because that takes long.

use super::{
    Placer,
    board::Board,
    tightest,
    vacate::{Vacating, size, vacate, vacate_smallest},
    ways::Ways,
};
use crate::{
    packing::Demand,
    problem::repair::{Repair, Repaired},
};
use std::{cmp::Reverse, collections::BTreeMap};

/// Nodes on which others make way for those who make way for the blocked.
const CHAINED_MAX: usize = 40;
/// The same if moving directly works somewhere: a chain that is cheaper is rare.
const CHAINED_CHEAPER_MAX: usize = 4;
/// Nodes looked at for a resident that finds no place itself, so that smaller ones make way for it.
const CANDIDATES_BELOW_MAX: usize = 6;
/// With fewer steps nobody makes way for those who make way.
const CHAINED_STEPS_MIN: usize = 4;
/// After so many failures to seat a class by moving others, no more is tried for that class: nodes
/// that are cheap to vacate differ little in what they leave to the rest.
const FAILURES_MAX: u32 = 3;
/// How many of the places asked for may be for chains: a chain that works is among the first.
const CHAINED_SEATS_MAX: u64 = 1000;

/// The most that a search may take, in counts: it ends at the same point on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Nodes looked at for whom to move, some microseconds each. Those with the most free GPU come
    /// first.
    pub looks: u64,
    /// Places asked for, a few microseconds each.
    pub seats: u64,
}

impl Default for Bounds {
    /// Some ten milliseconds on a cluster of a few thousand nodes.
    fn default() -> Self {
        Self {
            looks: 5000,
            seats: 4000,
        }
    }
}

/// What a search took, in counts that are equal on every machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Nodes that were looked at for whom to move.
    pub looks: u64,
    /// Nodes that were vacated for a try.
    pub candidates: u64,
    /// Places that were asked for.
    pub seats: u64,
}

/// The cheapest way found to make room for the blocked, all its members or none. The placer is left
/// as it was.
pub fn search(
    repair: &Repair,
    placer: &mut dyn Placer,
    bounds: Bounds,
) -> (Option<Repaired>, Effort) {
    let mut search = Search {
        board: Board::new(repair, placer),
        bounds,
        effort: Effort::default(),
        ceiling: u64::MAX,
        seats_max: bounds.seats,
        failures: BTreeMap::new(),
        below: BTreeMap::new(),
        placeable: BTreeMap::new(),
    };
    let mut seated = repair.members > 1 && search.together();
    if !seated {
        seated = (0..repair.members).all(|_| search.member());
    }
    let answer = seated.then(|| search.board.answer()).flatten();
    search.board.back_to(0);
    (answer, search.effort)
}

struct Search<'a> {
    board: Board<'a>,
    bounds: Bounds,
    effort: Effort,
    /// What is known to be possible: whatever costs as much is not looked at.
    ceiling: u64,
    /// Places that may be asked for.
    seats_max: u64,
    /// By class: how often nobody could make way for it.
    failures: BTreeMap<usize, u32>,
    /// By class: whom to move for it.
    below: BTreeMap<usize, Ways>,
    /// By class: whether it found a place before anybody was lifted.
    placeable: BTreeMap<usize, bool>,
}

/// Who looks for a place.
#[derive(Clone, Copy)]
enum Seeker {
    Blocked,
    Resident(usize),
}

impl Search<'_> {
    /// Seats all members of a gang at once: who is in the way of any of them goes first, and finds
    /// a new place at last, so that nobody goes to where the next member should come.
    fn together(&mut self) -> bool {
        let mark = self.board.mark();
        let vacated = self.vacate_for_all();
        let seated = vacated.is_some_and(|residents| self.seat_all(residents, true));
        let done = seated && self.board.answer().is_some();
        if !done {
            self.board.back_to(mark);
        }
        done
    }

    /// Places every member, always where that costs least; returns who had to go.
    fn vacate_for_all(&mut self) -> Option<Vec<usize>> {
        let (blocked, left) = (self.board.repair.blocked, self.looks_left());
        let ways = Ways::of(&self.board, blocked, vacate, left, &mut self.effort.looks);
        let mut lifted = Vec::new();
        for _ in 0..self.board.repair.members {
            if self.directly(Seeker::Blocked) {
                continue;
            }
            if self.looks_left() == 0 {
                return None;
            }
            let way = ways.now(&self.board, 1, &mut self.effort.looks).pop()?;
            self.make_way(Seeker::Blocked, &way);
            lifted.extend(way.residents);
        }
        Some(lifted)
    }

    /// Seats one more member of the blocked, as cheaply as is found.
    fn member(&mut self) -> bool {
        self.ceiling = u64::MAX;
        self.placeable.clear();
        if self.directly(Seeker::Blocked) {
            return true;
        }
        if self.board.steps_left() == 0 {
            return false;
        }
        let mark = self.board.mark();
        let cheapest = self.all_ways(vacate);
        let mut best = self.first_of(&cheapest, false);
        let most = match best {
            Some(_) => CHAINED_CHEAPER_MAX,
            None => CHAINED_MAX,
        };
        if best.is_none() {
            best = self.smallest_first();
        }
        if self.board.repair.steps_limit() >= CHAINED_STEPS_MIN {
            let chained = &cheapest[..cheapest.len().min(most)];
            self.seats_max = (self.effort.seats + CHAINED_SEATS_MAX).min(self.bounds.seats);
            best = self.first_of(chained, true).or(best);
            self.seats_max = self.bounds.seats;
        }
        debug_assert_eq!(self.board.mark(), mark, "tries are taken back");
        let found = best.is_some();
        for change in best.into_iter().flatten() {
            self.board.redo(change);
        }
        found
    }

    /// The last resort: others move, and they go to the first node that takes them. What is
    /// greedy in one order may succeed in another.
    fn smallest_first(&mut self) -> Option<Vec<super::board::Change>> {
        let ways = self.all_ways(vacate_smallest);
        self.board.first_fit = true;
        let best = self.first_of(&ways, false);
        self.board.first_fit = false;
        best
    }

    /// What the cheapest of these ways changes, if one of them works for less than is known.
    fn first_of(&mut self, ways: &[Vacating], chained: bool) -> Option<Vec<super::board::Change>> {
        let mark = self.board.mark();
        let mut best = None;
        for way in ways {
            if self.board.cost().saturating_add(way.cost) >= self.ceiling || self.is_spent() {
                break;
            }
            let many = way.residents.len() > self.board.steps_left();
            let likely = chained || self.board.first_fit || self.all_placeable(way);
            if many || !likely {
                continue;
            }
            if self.follow(Seeker::Blocked, way, chained) && self.board.answer().is_some() {
                self.ceiling = self.board.cost();
                best = Some(self.board.since(mark));
            }
            self.board.back_to(mark);
        }
        best
    }

    /// Whether each of them would find a place if nobody else looked for one: a cheap test that
    /// most nodes of a full cluster fail.
    fn all_placeable(&mut self, way: &Vacating) -> bool {
        let (board, seats) = (&mut self.board, &mut self.effort.seats);
        let placeable = &mut self.placeable;
        way.residents.iter().all(|resident| {
            let class = board.class_of(*resident);
            *placeable.entry(class).or_insert_with(|| {
                *seats += 1;
                board.best(class).is_some()
            })
        })
    }

    /// Vacates the node, seats the seeker there and everybody else anew; false leaves things as
    /// they then are, for the caller to take back.
    fn follow(&mut self, seeker: Seeker, way: &Vacating, chained: bool) -> bool {
        self.make_way(seeker, way);
        self.seat_all(way.residents.clone(), chained)
    }

    /// Vacates the node and seats the seeker there.
    fn make_way(&mut self, seeker: Seeker, way: &Vacating) {
        self.effort.candidates += 1;
        for resident in &way.residents {
            self.board.lift(*resident);
        }
        let demand = &self.board.repair.classes[self.class(seeker)];
        let at = tightest::slot(way.node, self.board.room(way.node), demand);
        match seeker {
            Seeker::Blocked => self.board.place(at),
            Seeker::Resident(resident) => self.board.put(resident, at),
        }
    }

    /// Finds places for lifted residents, the largest first.
    fn seat_all(&mut self, mut residents: Vec<usize>, chained: bool) -> bool {
        residents.reverse();
        residents.sort_by_key(|r| Reverse(size(self.board.demand_of(*r))));
        residents
            .into_iter()
            .all(|resident| self.seat(resident, chained))
    }

    /// Finds a place for a lifted resident, if need be by moving smaller ones.
    fn seat(&mut self, resident: usize, chained: bool) -> bool {
        let seeker = Seeker::Resident(resident);
        if self.directly(seeker) {
            return true;
        }
        let class = self.board.class_of(resident);
        let failures = self.failures.get(&class).copied().unwrap_or(0);
        if !chained || failures >= FAILURES_MAX {
            return false;
        }
        let mark = self.board.mark();
        for way in self.ways_below(class) {
            if self.board.cost().saturating_add(way.cost) >= self.ceiling {
                return false;
            }
            if self.follow(seeker, &way, false) {
                return true;
            }
            self.board.back_to(mark);
        }
        self.failures.insert(class, failures + 1);
        false
    }

    fn directly(&mut self, seeker: Seeker) -> bool {
        self.effort.seats += 1;
        if self.is_spent() {
            return false;
        }
        let Some(at) = self.board.best(self.class(seeker)) else {
            return false;
        };
        match seeker {
            Seeker::Blocked => self.board.place(at),
            Seeker::Resident(resident) => self.board.put(resident, at),
        }
        true
    }

    fn is_spent(&self) -> bool {
        self.effort.seats > self.seats_max
    }

    fn looks_left(&self) -> usize {
        let left = self.bounds.looks.saturating_sub(self.effort.looks);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    fn class(&self, seeker: Seeker) -> usize {
        match seeker {
            Seeker::Blocked => self.board.repair.blocked,
            Seeker::Resident(resident) => self.board.class_of(resident),
        }
    }

    /// Nodes to vacate for the blocked, cheapest first.
    fn all_ways(
        &mut self,
        vacate: fn(&Board<'_>, usize, &Demand) -> Option<Vacating>,
    ) -> Vec<Vacating> {
        let blocked = self.board.repair.blocked;
        let looks = self.looks_left();
        Ways::of(&self.board, blocked, vacate, looks, &mut self.effort.looks).all()
    }

    /// Nodes to vacate for a resident of this class, cheapest first.
    fn ways_below(&mut self, class: usize) -> Vec<Vacating> {
        if self.board.steps_left() == 0 || self.is_spent() || self.looks_left() == 0 {
            return Vec::new();
        }
        let left = self.looks_left();
        let (board, looks) = (&self.board, &mut self.effort.looks);
        let ways = self.below.entry(class);
        let ways = ways.or_insert_with(|| Ways::of(board, class, vacate, left, looks));
        ways.now(board, CANDIDATES_BELOW_MAX, looks)
    }
}
