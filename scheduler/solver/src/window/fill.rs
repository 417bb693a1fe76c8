//! Puts whatever still fits beside given puts, so that afterwards nothing that waits fits.

use super::{
    open::Opened,
    packing::{Slots, Work},
    rooms::Rooms,
};
use dovetail_core::problem::window::{Put, Window};

/// These puts and more, highest tier first; puts that do not hold are left out.
pub(super) fn filled(problem: &Window, puts: &[Put]) -> Vec<Put> {
    filled_while(problem, puts, || true).expect("nobody stops it")
}

/// The same, or nothing if it is stopped: half filled is worth nothing. It is asked before each
/// class whether to go on.
pub(super) fn filled_while(
    problem: &Window,
    puts: &[Put],
    go_on: impl Fn() -> bool,
) -> Option<Vec<Put>> {
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
    for class in order {
        if !go_on() {
            return None;
        }
        opened.fill_in_order(&[class]);
    }
    let puts = opened.all.iter().flat_map(|open| {
        open.steps.iter().map(|(work, slots)| Put {
            class: *work as usize,
            node: open.host,
            gpus: (0..64).filter(|bit| slots >> bit & 1 == 1).collect(),
        })
    });
    Some(puts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_core::{
        packing::{Demand, Gpus, Room},
        problem::window::Class,
    };
    use dovetail_model::units::{Bytes, CpuMilli};
    use std::cell::Cell;

    #[test]
    fn a_filling_that_is_stopped_between_classes_gives_nothing() {
        let class = |cores: u64| Class {
            demand: Demand {
                cpu: CpuMilli(cores),
                memory: Bytes::ZERO,
                tenant: 0,
                gpus: Gpus::None,
                takes: Vec::new(),
                kinds: vec![true],
            },
            count: 1,
            priority: 0,
            worth: cores,
        };
        let problem = Window {
            nodes: vec![Room {
                kind: 0,
                cpu: CpuMilli(9),
                memory: Bytes::ZERO,
                slices: 9,
                gpus: Vec::new(),
            }],
            classes: [2, 3, 4].map(class).to_vec(),
            start: Vec::new(),
            seed: 0,
        };
        let stopped_after = |classes: u32| {
            let asked = Cell::new(0);
            filled_while(&problem, &[], || {
                asked.set(asked.get() + 1);
                asked.get() <= classes
            })
        };
        assert_eq!(stopped_after(0), None);
        assert_eq!(stopped_after(2), None);
        assert_eq!(stopped_after(3).map(|puts| puts.len()), Some(3));
    }
}
