//! What one window leaves to the next: contents that were good.

use super::{
    engine::{Contents, Solution},
    packing::Slots,
};
use dovetail_core::packing::{Demand, Room};
use std::collections::BTreeMap;

/// Contents kept at most: some windows' worth.
const CONTENTS_MAX: usize = 4000;

/// Contents by what rooms and demands are, so that they outlive any numbering.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    rooms: Vec<Room>,
    demands: Vec<Demand>,
    contents: Vec<Contents>,
}

impl Pool {
    /// Contents for these rooms and demands, as far as they are known.
    pub(super) fn contents(&self, rooms: &[(Room, u32)], demands: &[Demand]) -> Vec<Contents> {
        let rooms: BTreeMap<&Room, usize> = rooms.iter().map(|(room, _)| room).zip(0..).collect();
        let demands: BTreeMap<&Demand, u32> = demands.iter().zip(0..).collect();
        let contents = self.contents.iter().filter_map(|contents| {
            let step = |(work, slots): &(u32, Slots)| {
                let work = demands.get(&self.demands[*work as usize])?;
                Some((*work, *slots))
            };
            Some(Contents {
                host: *rooms.get(&self.rooms[contents.host])?,
                steps: contents.steps.iter().map(step).collect::<Option<_>>()?,
            })
        });
        contents.collect()
    }

    /// Forgets what was there, and keeps what this search used.
    pub(super) fn keep(&mut self, rooms: &[(Room, u32)], demands: &[Demand], found: &Solution) {
        self.rooms = rooms.iter().map(|(room, _)| room.clone()).collect();
        self.demands = demands.to_vec();
        self.contents = found.good.iter().take(CONTENTS_MAX).cloned().collect();
    }
}
