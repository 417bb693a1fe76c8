//! Labels, taints and tolerations, from and to the wire.

use super::{
    Fields,
    enums::{TAINT_EFFECTS, TOLERATION_OPERATORS, taint_effect_to_wire},
};
use crate::v1;
use dovetail_model::label::{
    LabelError, LabelKey, LabelValue, Labels, TAINTS_MAX, TOLERATIONS_MAX, Taint, Toleration,
};
use std::collections::{BTreeSet, HashMap};

/// Reads labels, at most so many.
pub(super) fn read_all(
    field: &str,
    wire: HashMap<String, String>,
    max: usize,
    fields: &mut Fields,
) -> Option<Labels> {
    fields.count(field, wire.len(), max)?;
    fields.entries(field, wire, |fields, key, value| {
        let key = good("", LabelKey::new(&key), fields);
        let value = good("", LabelValue::new(&value), fields);
        key.zip(value)
    })
}

fn good<T>(field: &str, read: Result<T, LabelError>, fields: &mut Fields) -> Option<T> {
    read.map_err(|error| fields.bad(field, error.to_string()))
        .ok()
}

/// Reads the taints of a node, by key.
pub(super) fn read_taints(wire: Vec<v1::Taint>, fields: &mut Fields) -> Option<Vec<Taint>> {
    fields.count("taints", wire.len(), TAINTS_MAX)?;
    let mut keys = BTreeSet::new();
    let mut taints = fields.each("taints", wire, |fields, taint| {
        let taint = read_taint(&taint, fields)?;
        let fresh = keys.insert(taint.key.clone());
        if !fresh {
            fields.bad("key", "is also an earlier taint's");
        }
        fresh.then_some(taint)
    })?;
    taints.sort();
    Some(taints)
}

fn read_taint(wire: &v1::Taint, fields: &mut Fields) -> Option<Taint> {
    let key = good("key", LabelKey::new(&wire.key), fields);
    let value = good("value", LabelValue::new(&wire.value), fields);
    let effect = fields.choice("effect", wire.effect, &TAINT_EFFECTS);
    Some(Taint {
        key: key?,
        value: value?,
        effect: effect?,
    })
}

/// Reads the tolerations of a workload.
pub(super) fn read_tolerations(
    wire: Vec<v1::Toleration>,
    fields: &mut Fields,
) -> Option<Vec<Toleration>> {
    fields.count("tolerations", wire.len(), TOLERATIONS_MAX)?;
    fields.each("tolerations", wire, |fields, toleration| {
        read_toleration(&toleration, fields)
    })
}

fn read_toleration(wire: &v1::Toleration, fields: &mut Fields) -> Option<Toleration> {
    let key = good("key", LabelKey::new(&wire.key), fields);
    let value = good("value", LabelValue::new(&wire.value), fields);
    let exists = fields.choice_or("operator", wire.operator, &TOLERATION_OPERATORS, false)?;
    if !exists {
        return Some(Toleration::Equal {
            key: key?,
            value: value?,
        });
    }
    if !wire.value.is_empty() {
        fields.bad("value", "must be empty with TOLERATION_OPERATOR_EXISTS");
        return None;
    }
    Some(Toleration::Exists { key: key? })
}

/// Labels on the wire.
pub fn all_to_wire(labels: &Labels) -> HashMap<String, String> {
    labels
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

/// Taints on the wire.
pub fn taints_to_wire(taints: &[Taint]) -> Vec<v1::Taint> {
    let taint = |taint: &Taint| v1::Taint {
        key: taint.key.to_string(),
        value: taint.value.to_string(),
        effect: taint_effect_to_wire(taint.effect).into(),
    };
    taints.iter().map(taint).collect()
}

/// Tolerations on the wire.
pub fn tolerations_to_wire(tolerations: &[Toleration]) -> Vec<v1::Toleration> {
    tolerations.iter().map(toleration_to_wire).collect()
}

fn toleration_to_wire(toleration: &Toleration) -> v1::Toleration {
    let (key, operator, value) = match toleration {
        Toleration::Exists { key } => (key, v1::TolerationOperator::Exists, String::new()),
        Toleration::Equal { key, value } => (key, v1::TolerationOperator::Equal, value.to_string()),
    };
    v1::Toleration {
        key: key.to_string(),
        operator: operator.into(),
        value,
    }
}
