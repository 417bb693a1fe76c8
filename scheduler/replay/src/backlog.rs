//! Backlog: all pods wait at once, and the window engine chooses among them; what it answers is
//! carried out and checked here, by code that it does not share.

use crate::{
    churn,
    cluster::{Cluster, Decision, TakeError},
    demand::Demand,
    trace::Trace,
};
use dovetail_core::problem::window::{Class, Put, Window};
use dovetail_solver::window::{Limits, Pool, solve};
use thiserror::Error;

/// What each placed pod is worth beside its size, so that many small ones are not given up for
/// little. At 50 the best packings of `default` fill 99.4 % of all GPUs with 8 460 pods, and are
/// within 0.1 % of the master program's value: more pods cost GPUs. At 60 it is 99.3 % and 8 640.
const POD_WORTH: u64 = 60;

/// Thousandths of a core that are worth a thousandth of a GPU, for work without a GPU.
const CPU_MILLI_PER_WORTH: u64 = 40;

/// Why a packing is worth nothing: it breaks a rule.
#[derive(Debug, Error)]
pub enum BacklogError {
    /// A pod has been put where there is no room.
    #[error("failed to carry out put {put} of the window: it has not got the room")]
    Oversubscribed {
        /// Which put, from 0.
        put: usize,
        /// What is missing.
        #[source]
        source: TakeError,
    },
    /// More pods of a class are placed than wait.
    #[error("failed to carry out the window: it places more pods than wait of {0:?}")]
    TooMany(Box<Demand>),
    /// A pod is left that fits.
    #[error("failed to accept the window: a pod is left and some node has room for {0:?}")]
    LeftThoughItFits(Box<Demand>),
}

/// The window engine's packing of all arrivals, from the online plan on.
pub fn pack(trace: &Trace, start: &[(usize, Decision)], seed: u64) -> Vec<(usize, Decision)> {
    let waiting = waiting(trace);
    let present: Vec<usize> = (0..waiting.len())
        .filter(|class| waiting[*class] > 0)
        .collect();
    let demands = churn::classes(trace);
    let class = |class: &usize| Class {
        demand: demands[*class].clone(),
        count: waiting[*class],
        priority: 0,
        worth: worth(&trace.classes[*class]),
    };
    let put = |(class, at): &(usize, Decision)| Put {
        class: present
            .binary_search(class)
            .expect("what was placed has arrived"),
        node: at.node,
        gpus: at.gpus.indices().collect(),
    };
    let window = Window {
        nodes: churn::rooms(trace),
        classes: present.iter().map(class).collect(),
        start: start.iter().map(put).collect(),
        seed,
    };
    let packed = solve(&window, &Limits::default(), &mut Pool::default());
    let decision = |put: &Put| Decision {
        node: put.node,
        gpus: put.gpus.iter().copied().collect(),
    };
    packed
        .puts
        .iter()
        .map(|put| (present[put.class], decision(put)))
        .collect()
}

/// The cluster under this packing, and how many of each class are left out: none that fits.
pub fn check(
    trace: &Trace,
    packed: &[(usize, Decision)],
) -> Result<(Cluster, Vec<u32>), BacklogError> {
    let (mut cluster, mut left) = (trace.cluster(), waiting(trace));
    for (put, (class, decision)) in packed.iter().enumerate() {
        let demand = &trace.classes[*class];
        let taken = cluster.take(demand, *decision);
        taken.map_err(|source| BacklogError::Oversubscribed { put, source })?;
        let fewer = left[*class].checked_sub(1);
        left[*class] = fewer.ok_or_else(|| BacklogError::TooMany(Box::new(*demand)))?;
    }
    for (demand, left) in trace.classes.iter().zip(&left) {
        if *left > 0 && cluster.has_room(demand) {
            return Err(BacklogError::LeftThoughItFits(Box::new(*demand)));
        }
    }
    Ok((cluster, left))
}

/// How many pods of each class arrive.
fn waiting(trace: &Trace) -> Vec<u32> {
    let mut counts = vec![0; trace.classes.len()];
    for class in &trace.arrivals {
        counts[*class] += 1;
    }
    counts
}

fn worth(demand: &Demand) -> u64 {
    let size = match demand.gpus {
        0 => demand.cpu_milli / CPU_MILLI_PER_WORTH,
        _ => demand.total_milli(),
    };
    size + POD_WORTH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::GpuSet,
        policy::tests::{share, trace, whole},
        trace::NodeRow,
    };

    /// Two nodes of 2 GPUs and 64 cores; these pods arrive.
    fn cluster(pods: &[(Demand, usize)]) -> Trace {
        let mut trace = trace(pods);
        let node = |name: &str| NodeRow {
            name: name.to_owned(),
            cpu_milli: 64_000,
            memory_mib: 0,
            gpus: 2,
            model: 0,
        };
        trace.nodes = ["a", "b"].map(node).to_vec();
        trace.models = vec!["T4".to_owned()];
        trace.arrivals = trace.pods.clone();
        trace
    }

    fn at(node: usize, gpus: u16) -> Decision {
        let gpus = GpuSet(gpus);
        Decision { node, gpus }
    }

    #[test]
    fn the_window_places_more_than_who_came_first_and_leaves_nothing_that_fits() {
        // First come: two shares of 600 block both nodes for a pod of 2 GPUs.
        let trace = cluster(&[(share(1, 600), 2), (whole(2), 1), (share(1, 400), 2)]);
        let start = [(0, at(0, 1)), (0, at(1, 1)), (2, at(0, 1)), (2, at(1, 1))];
        let packed = pack(&trace, &start, 42);
        let (cluster, left) = check(&trace, &packed).unwrap();
        assert_eq!(left, [0, 0, 0]);
        assert_eq!(cluster.allocated_milli(), 4000);
        assert_eq!(
            pack(&trace, &start, 42),
            packed,
            "equal seeds, equal packings"
        );
    }

    #[test]
    fn a_packing_that_breaks_a_rule_is_found_out() {
        let trace = cluster(&[(share(1, 600), 2), (whole(2), 1)]);
        let full = [(0, at(0, 1)), (0, at(0, 2)), (1, at(1, 3))];
        assert!(check(&trace, &full).is_ok());
        let oversubscribed = check(&trace, &[(0, at(0, 1)), (0, at(0, 1))]);
        assert!(matches!(
            oversubscribed,
            Err(BacklogError::Oversubscribed { put: 1, .. })
        ));
        let many = check(&trace, &[(1, at(0, 3)), (1, at(1, 3))]);
        assert!(matches!(many, Err(BacklogError::TooMany(_))));
        assert!(matches!(
            check(&trace, &full[..2]),
            Err(BacklogError::LeftThoughItFits(_))
        ));
    }
}
