//! Whether a node lets a workload in at all: the labels that are asked for, and its taints.

use super::Rejection;
use crate::state::{Node, Workload};
use dovetail_model::{
    grant::Placement,
    label::{Taint, TaintEffect, Toleration},
};

pub(super) fn check(
    workload: &Workload,
    node: &Node,
    placement: &Placement,
) -> Result<(), Rejection> {
    let (spec, inventory) = (&workload.spec, &node.inventory);
    for (key, value) in &spec.node_selector {
        if inventory.labels.get(key) != Some(value) {
            return Err(Rejection::WrongLabel {
                node: placement.node.clone(),
                key: key.clone(),
                asked: value.clone(),
            });
        }
    }
    for taint in &inventory.taints {
        if taint.effect == TaintEffect::NoSchedule && !bears(&spec.tolerations, taint) {
            return Err(Rejection::Tainted {
                node: placement.node.clone(),
                taint: taint.clone(),
            });
        }
    }
    Ok(())
}

fn bears(tolerations: &[Toleration], taint: &Taint) -> bool {
    let any_value = Toleration::Exists {
        key: taint.key.clone(),
    };
    let this_value = Toleration::Equal {
        key: taint.key.clone(),
        value: taint.value.clone(),
    };
    tolerations.contains(&any_value) || tolerations.contains(&this_value)
}
