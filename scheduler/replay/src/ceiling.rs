//! What no scheduler can exceed on a trace, by the solver's linear program.

use crate::{args::Mode, churn, curve::Curve, decimal::Decimal, trace::Trace};
use dovetail_core::packing::Room;
use dovetail_solver::ceiling;

/// GPU that any scheduler can have in use at most, in percent: online when as much has arrived as
/// there is, in a backlog when all has. Where pods depart there is no one moment, and no bound.
pub(crate) fn of(trace: &Trace, mode: Mode) -> Option<Decimal> {
    let capacity_milli = trace.cluster().capacity_milli();
    let counts = match mode {
        Mode::Online => arrived(trace, capacity_milli),
        Mode::Backlog => arrived(trace, u64::MAX),
        Mode::Churn => return None,
    };
    let demands = churn::classes(trace).into_iter();
    let classes: Vec<_> = demands
        .zip(counts)
        .zip(&trace.classes)
        .map(|((demand, count), class)| (demand, count, class.total_milli()))
        .collect();
    let milli = ceiling::of(&grouped(churn::rooms(trace)), &classes);
    Some(Curve::new(capacity_milli).percent(milli.min(capacity_milli)))
}

/// How many pods of each class have come when so much GPU has been asked for.
fn arrived(trace: &Trace, limit_milli: u64) -> Vec<u64> {
    let mut counts = vec![0; trace.classes.len()];
    let mut arrived_milli = 0;
    for class in &trace.arrivals {
        arrived_milli += trace.classes[*class].total_milli();
        if arrived_milli > limit_milli {
            break;
        }
        counts[*class] += 1;
    }
    counts
}

/// Equal nodes, with how many there are.
fn grouped(mut rooms: Vec<Room>) -> Vec<(Room, u64)> {
    rooms.sort_unstable();
    let equal = rooms.chunk_by(|a, b| a == b);
    equal
        .map(|equal| (equal[0].clone(), equal.len() as u64))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::tests::{share, trace},
        trace::NodeRow,
    };

    #[test]
    fn a_slice_that_leaves_a_useless_rest_lowers_the_ceiling() {
        let mut trace = trace(&[(share(1, 600), 8)]);
        trace.nodes = vec![NodeRow {
            name: "n".to_owned(),
            cpu_milli: 64_000,
            memory_mib: 0,
            gpus: 4,
            model: 0,
        }];
        trace.models = vec!["T4".to_owned()];
        trace.arrivals = vec![0; 8];
        let percent = |trace: &Trace, mode| of(trace, mode).map(|ceiling| ceiling.units);
        // 400 of each GPU is of no use to anyone, whoever chooses.
        assert_eq!(
            [Mode::Online, Mode::Backlog, Mode::Churn].map(|mode| percent(&trace, mode)),
            [Some(6000), Some(6000), None]
        );
        trace.arrivals = vec![0; 2];
        assert_eq!(
            percent(&trace, Mode::Online),
            Some(3000),
            "no more than what has come"
        );
    }
}
