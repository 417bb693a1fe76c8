//! Replays puts in integers: whatever a search says, only what holds here is returned.

use dovetail_core::{
    packing::{Gpus, Room},
    problem::window::{Put, Window},
};
use std::collections::BTreeMap;

/// Whether all puts fit, one after the other, and no class is placed more often than it waits.
pub fn holds(problem: &Window, puts: &[Put]) -> bool {
    let mut rooms: BTreeMap<usize, Room> = BTreeMap::new();
    let mut placed = vec![0_u64; problem.classes.len()];
    puts.iter().all(|put| {
        let Some(node) = problem.nodes.get(put.node) else {
            return false;
        };
        let room = rooms.entry(put.node).or_insert_with(|| node.clone());
        put_holds(problem, put, room) && {
            placed[put.class] += 1;
            placed[put.class] <= u64::from(problem.classes[put.class].count)
        }
    })
}

fn put_holds(problem: &Window, put: &Put, room: &mut Room) -> bool {
    let Some(class) = problem.classes.get(put.class) else {
        return false;
    };
    let demand = &class.demand;
    let wanted = match demand.gpus {
        Gpus::None => 0,
        Gpus::Share => 1,
        Gpus::Whole(count) => count as usize,
    };
    let mut gpus = put.gpus.clone();
    gpus.sort_unstable();
    gpus.dedup();
    let fits = |gpu: &usize| room.gpus.get(*gpu).is_some_and(|gpu| gpu.fits(demand));
    let holds = gpus.len() == put.gpus.len()
        && gpus.len() == wanted
        && room.fits(demand)
        && gpus.iter().all(fits);
    if holds {
        room.take(demand, &gpus);
    }
    holds
}

/// Worth by tier, the highest first: the lexicographic value of puts.
pub fn worth(problem: &Window, puts: &[Put]) -> Vec<u64> {
    let mut tiers: BTreeMap<i32, u64> = problem.classes.iter().map(|c| (c.priority, 0)).collect();
    for put in puts {
        let class = &problem.classes[put.class];
        if let Some(worth) = tiers.get_mut(&class.priority) {
            *worth = worth.saturating_add(class.worth);
        }
    }
    tiers.into_values().rev().collect()
}
