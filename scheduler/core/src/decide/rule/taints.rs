//! A node's taints keep work off it that does not tolerate every one of them.

use crate::{decide::Ask, policy::Policy, view::NodeView};
use dovetail_model::{
    label::{Taint, TaintEffect, Toleration},
    reason::Reason,
};

/// Names the first taint, by key, that is not tolerated.
pub(super) fn refuses(node: &NodeView, ask: &Ask<'_>, _: &Policy) -> Option<Reason> {
    let taint = untolerated(node, ask).next()?.clone();
    Some(Reason::TaintNotTolerated { taint })
}

/// Taints that keep it off the node.
pub(crate) fn untolerated<'a>(
    node: &'a NodeView,
    ask: &Ask<'a>,
) -> impl Iterator<Item = &'a Taint> {
    let tolerations = &ask.spec.tolerations;
    node.taints.iter().filter(move |taint| match taint.effect {
        TaintEffect::NoSchedule => !tolerations.iter().any(|t| tolerates(t, taint)),
    })
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    match toleration {
        Toleration::Exists { key } => *key == taint.key,
        Toleration::Equal { key, value } => *key == taint.key && *value == taint.value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, label, node, spec, taint, tenant};

    #[test]
    fn every_taint_must_be_tolerated_by_key_or_by_key_and_value() {
        let (tenant, mut spec) = (tenant("a"), spec("w"));
        let mut node = node("n", 1);
        node.taints = vec![taint("dedicated", "ml"), taint("slow", "")];
        let exists = |text| Toleration::Exists {
            key: label(text, "").0,
        };
        let equal = |key, value| {
            let (key, value) = label(key, value);
            Toleration::Equal { key, value }
        };
        let mut verdict = |tolerations: Vec<Toleration>| {
            spec.tolerations = tolerations;
            match refuses(&node, &ask(1, &tenant, &spec), &Policy::default()) {
                Some(Reason::TaintNotTolerated { taint }) => taint.to_string(),
                other => format!("{other:?}"),
            }
        };
        assert_eq!(verdict(vec![]), "dedicated=ml:NoSchedule");
        assert_eq!(verdict(vec![exists("dedicated")]), "slow:NoSchedule");
        let value = equal("dedicated", "ml");
        assert_eq!(verdict(vec![value.clone(), exists("slow")]), "None");
        assert_eq!(verdict(vec![equal("slow", ""), value]), "None");
        let other = vec![equal("dedicated", "web"), exists("slow")];
        assert_eq!(verdict(other), "dedicated=ml:NoSchedule");
    }
}
