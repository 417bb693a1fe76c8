//! Puts whatever still fits beside given puts, so that afterwards nothing that waits fits.

use super::{
    open::Opened,
    packing::{Slots, Work},
    rooms::Rooms,
};
use dovetail_core::problem::window::{Put, Window};

/// These puts and more, highest tier first; puts that do not hold are left out.
pub(super) fn filled(problem: &Window, puts: &[Put]) -> Vec<Put> {
    let rooms: Vec<_> = problem.nodes.iter().map(|room| (room.clone(), 1)).collect();
    let demands: Vec<_> = problem
        .classes
        .iter()
        .map(|class| {
            #[allow(clippy::cast_precision_loss, reason = "it orders classes of one tier")]
            let worth = class.worth as f64;
            (
                class.demand.clone(),
                Work {
                    count: class.count,
                    worth,
                },
            )
        })
        .collect();
    let packing = Rooms::new(&rooms, &demands);
    let mut steps: Vec<Vec<(u32, Slots)>> = vec![Vec::new(); rooms.len()];
    for put in puts {
        let slots = put.gpus.iter().fold(0, |all, gpu| all | 1 << gpu);
        steps[put.node].push((u32::try_from(put.class).unwrap_or(u32::MAX), slots));
    }
    let mut opened = Opened::empty(&packing);
    for (node, steps) in steps.iter().enumerate() {
        opened.open(node, steps, 1);
    }
    let mut order: Vec<usize> = (0..problem.classes.len()).collect();
    order.sort_by_key(|index| {
        let class = &problem.classes[*index];
        (std::cmp::Reverse((class.priority, class.worth)), *index)
    });
    opened.fill_in_order(&order);
    let puts = opened.all.iter().flat_map(|open| {
        open.steps.iter().map(|(work, slots)| Put {
            class: *work as usize,
            node: open.host,
            gpus: (0..64).filter(|bit| slots >> bit & 1 == 1).collect(),
        })
    });
    puts.collect()
}
