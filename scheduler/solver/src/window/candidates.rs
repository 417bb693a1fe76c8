//! Which classes of nodes a search looks at, where nearly every node of a large cluster is
//! different: the start's own, and for each demand the tightest and the roomiest.

use dovetail_core::packing::{Demand, Room};
use std::collections::BTreeSet;

/// With fewer classes of nodes than this all of them are looked at.
pub(super) const ROOMS_LEAST: usize = 400;
/// For each workload that waits so many tight nodes are kept: others want them too.
const TIGHT_PER_WORK: u64 = 3;
/// And one roomy node, for contents of several workloads.
const ROOMY_PER_WORK: u64 = 1;
/// As if so many waited of every demand, so that rare ones have a choice.
const WORKS_LEAST: u64 = 4;

/// Room that one more workload leaves: GPU compute of the GPU it takes, then of all, then CPU.
type Rest = (u64, u64, u64);

/// Indices of the rooms to look at, ascending. Each room comes with how many nodes have it, each
/// demand with how many wait; `kept` are looked at in any case.
pub(super) fn of(
    rooms: &[(Room, u32)],
    demands: &[(&Demand, u32)],
    mut kept: BTreeSet<usize>,
) -> Vec<usize> {
    if rooms.len() <= ROOMS_LEAST {
        return (0..rooms.len()).collect();
    }
    for (demand, count) in demands {
        let mut rests: Vec<(Rest, usize)> = rooms
            .iter()
            .enumerate()
            .filter_map(|(index, (room, _))| Some((rest(room, demand)?, index)))
            .collect();
        rests.sort_unstable();
        let count = u64::from(*count).max(WORKS_LEAST);
        let order = rests.iter().map(|(_, index)| *index);
        keep(rooms, order.clone(), count * TIGHT_PER_WORK, &mut kept);
        keep(rooms, order.rev(), count * ROOMY_PER_WORK, &mut kept);
    }
    kept.into_iter().collect()
}

/// Keeps rooms in this order until they are so many nodes.
fn keep(
    rooms: &[(Room, u32)],
    order: impl Iterator<Item = usize>,
    nodes: u64,
    kept: &mut BTreeSet<usize>,
) {
    let mut missing = nodes;
    for index in order {
        if missing == 0 {
            break;
        }
        kept.insert(index);
        missing = missing.saturating_sub(rooms[index].1.into());
    }
}

/// What is left beside one workload; nothing if it does not fit.
fn rest(room: &Room, demand: &Demand) -> Option<Rest> {
    if !room.fits(demand) {
        return None;
    }
    let gpu = room
        .fitting(demand)
        .map(|gpu| room.gpus[gpu].compute.0)
        .min();
    Some((
        gpu.unwrap_or(0),
        room.compute().0,
        room.cpu.0 - demand.cpu.0,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_core::packing::Gpus;
    use dovetail_model::units::{Bytes, CpuMilli};

    /// Without GPUs, of so many cores.
    fn room(cores: u64) -> (Room, u32) {
        let room = Room {
            kind: 0,
            cpu: CpuMilli(cores),
            memory: Bytes::ZERO,
            slices: 9,
            gpus: Vec::new(),
        };
        (room, 1)
    }

    fn demand(cores: u64) -> Demand {
        Demand {
            cpu: CpuMilli(cores),
            memory: Bytes::ZERO,
            tenant: 0,
            gpus: Gpus::None,
            takes: Vec::new(),
            kinds: vec![true],
        }
    }

    fn rooms() -> Vec<(Room, u32)> {
        (0..500).map(room).collect()
    }

    #[test]
    fn of_many_rooms_the_tightest_the_roomiest_and_the_starts_own_are_kept() {
        let kept = of(&rooms(), &[(&demand(100), 1)], BTreeSet::from([7, 300]));
        let tight = 100..112;
        let roomy = 496..500;
        let expected: Vec<usize> = [7]
            .into_iter()
            .chain(tight)
            .chain([300])
            .chain(roomy)
            .collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn the_more_waits_the_more_rooms_are_kept() {
        let kept = of(&rooms(), &[(&demand(100), 50)], BTreeSet::new());
        assert_eq!(kept.len(), 200);
    }

    #[test]
    fn few_rooms_are_all_kept() {
        let few = &rooms()[..50];
        let kept = of(few, &[(&demand(600), 1)], BTreeSet::new());
        assert_eq!(kept, (0..50).collect::<Vec<_>>());
    }
}
