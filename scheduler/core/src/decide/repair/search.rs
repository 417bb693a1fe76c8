//! The fast search: vacate the node where that costs least, and place who was there anew.

use super::{
    Placer,
    board::Board,
    tightest,
    vacate::{Vacating, size, vacate},
};
use crate::problem::repair::{Repair, Repaired};

/// Nodes looked at for one member of the blocked, those first whose residents cost least.
const CANDIDATES_MAX: usize = 40;
/// Nodes looked at for a resident that finds no place itself, so that smaller ones make way for it.
const CANDIDATES_BELOW_MAX: usize = 6;
/// So often may somebody make way for somebody who makes way.
const DEPTH_MAX: u32 = 2;
/// Most places asked for in one search: at a few microseconds each, some ten milliseconds.
const SEATS_MAX: u64 = 3000;

/// What a search took, in counts that are equal on every machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Nodes that were vacated for a try.
    pub candidates: u64,
    /// Places that were asked for.
    pub seats: u64,
}

/// The cheapest way found to make room for the blocked, all its members or none. The placer is left
/// as it was.
pub fn search(repair: &Repair, placer: &mut dyn Placer) -> (Option<Repaired>, Effort) {
    let mut search = Search {
        board: Board::new(repair, placer),
        effort: Effort::default(),
        ceiling: u64::MAX,
    };
    let mut seated = true;
    for _ in 0..repair.members {
        seated = seated && search.member();
    }
    let answer = seated.then(|| search.board.answer()).flatten();
    search.board.back_to(0);
    (answer, search.effort)
}

struct Search<'a> {
    board: Board<'a>,
    effort: Effort,
    /// What is known to be possible: whatever costs as much is not looked at.
    ceiling: u64,
}

/// Who looks for a place.
#[derive(Clone, Copy)]
enum Seeker {
    Blocked,
    Resident(usize),
}

impl Search<'_> {
    /// Seats one more member of the blocked, as cheaply as is found.
    fn member(&mut self) -> bool {
        self.ceiling = u64::MAX;
        if self.directly(Seeker::Blocked) {
            return true;
        }
        let mark = self.board.mark();
        let mut best = None;
        for way in self.ways(Seeker::Blocked, CANDIDATES_MAX) {
            if self.board.cost().saturating_add(way.cost) >= self.ceiling {
                break;
            }
            if self.follow(Seeker::Blocked, &way, DEPTH_MAX) && self.board.answer().is_some() {
                self.ceiling = self.board.cost();
                best = Some(self.board.since(mark));
            }
            self.board.back_to(mark);
        }
        let found = best.is_some();
        for change in best.into_iter().flatten() {
            self.board.redo(change);
        }
        found
    }

    /// Vacates the node, seats the seeker there and everybody else anew; false leaves things as
    /// they then are, for the caller to take back.
    fn follow(&mut self, seeker: Seeker, way: &Vacating, depth: u32) -> bool {
        self.effort.candidates += 1;
        for resident in &way.residents {
            self.board.lift(*resident);
        }
        let class = self.class(seeker);
        let demand = &self.board.repair.classes[class];
        let room = self.board.room_without(way.node, &[]);
        let at = tightest::slot(way.node, &room, demand);
        match seeker {
            Seeker::Blocked => self.board.place(at),
            Seeker::Resident(resident) => self.board.put(resident, at),
        }
        let mut residents = way.residents.clone();
        residents.sort_by_key(|r| (std::cmp::Reverse(size(self.board.demand_of(*r))), *r));
        residents
            .into_iter()
            .all(|resident| self.seat(resident, depth - 1))
    }

    /// Finds a place for a lifted resident, if need be by moving smaller ones.
    fn seat(&mut self, resident: usize, depth: u32) -> bool {
        let seeker = Seeker::Resident(resident);
        if self.directly(seeker) {
            return true;
        }
        if depth == 0 {
            return false;
        }
        let mark = self.board.mark();
        for way in self.ways(seeker, CANDIDATES_BELOW_MAX) {
            if self.board.cost().saturating_add(way.cost) >= self.ceiling {
                return false;
            }
            if self.follow(seeker, &way, depth) {
                return true;
            }
            self.board.back_to(mark);
        }
        false
    }

    fn directly(&mut self, seeker: Seeker) -> bool {
        self.effort.seats += 1;
        if self.effort.seats > SEATS_MAX {
            return false;
        }
        let class = self.class(seeker);
        let Some(at) = self.board.best(class) else {
            return false;
        };
        match seeker {
            Seeker::Blocked => self.board.place(at),
            Seeker::Resident(resident) => self.board.put(resident, at),
        }
        true
    }

    fn class(&self, seeker: Seeker) -> usize {
        match seeker {
            Seeker::Blocked => self.board.repair.blocked,
            Seeker::Resident(resident) => self.board.class_of(resident),
        }
    }

    /// Nodes to vacate for the seeker, cheapest first.
    fn ways(&self, seeker: Seeker, most: usize) -> Vec<Vacating> {
        if self.board.steps_left() == 0 || self.effort.seats > SEATS_MAX {
            return Vec::new();
        }
        let demand = &self.board.repair.classes[self.class(seeker)];
        let nodes = 0..self.board.nodes();
        let mut ways: Vec<Vacating> = nodes
            .filter_map(|node| vacate(&self.board, node, demand))
            .collect();
        ways.sort_by_key(|way| (way.cost, way.residents.len(), way.node));
        ways.truncate(most);
        ways
    }
}
