//! Policies on clusters so small that the answer is known.

use super::*;
use crate::demand::Models;

/// A share of one GPU with so many cores.
pub(crate) fn share(cores: u64, gpu_milli: u16) -> Demand {
    Demand {
        cpu_milli: cores * 1000,
        memory_mib: 0,
        gpus: 1,
        gpu_milli,
        models: Models::ANY,
        spec: 0,
    }
}

/// So many whole GPUs with one core.
pub(crate) fn whole(gpus: u8) -> Demand {
    let demand = share(1, 1000);
    Demand { gpus, ..demand }
}

/// One core.
pub(crate) fn cpu_only() -> Demand {
    let (gpus, gpu_milli) = (0, 0);
    Demand {
        gpus,
        gpu_milli,
        ..share(1, 0)
    }
}

/// A trace whose pods ask for this, so many times each.
pub(crate) fn trace(pods: &[(Demand, usize)]) -> Trace {
    let classes = pods.iter().map(|(demand, _)| *demand);
    let pods = (0..)
        .zip(pods)
        .flat_map(|(class, (_, count))| vec![class; *count]);
    Trace {
        nodes: Vec::new(),
        models: Vec::new(),
        classes: classes.collect(),
        specs: vec![String::new()],
        pods: pods.collect(),
        arrivals: Vec::new(),
    }
}

#[test]
fn a_policy_is_shown_as_its_flag_is_written() {
    let names = PolicyName::value_variants().iter().map(ToString::to_string);
    let names: Vec<String> = names.collect();
    assert_eq!(
        names.join(" "),
        "dovetail fgd best-fit dot-product gpu-packing gpu-clustering first-fit random"
    );
}
