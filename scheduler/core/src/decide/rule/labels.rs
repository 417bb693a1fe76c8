//! A node has every label that is asked for, with the value that is asked for.

use crate::{decide::Ask, policy::Policy, view::NodeView};
use dovetail_model::reason::Reason;

/// Names the first label, by key, that will not do.
pub(super) fn refuses(node: &NodeView, ask: &Ask<'_>, _: &Policy) -> Option<Reason> {
    let mut asked = ask.spec.node_selector.iter();
    asked.find_map(|(key, asked)| {
        let found = node.labels.get(key);
        (found != Some(asked)).then(|| Reason::NodeLabelMismatch {
            key: key.clone(),
            asked: asked.clone(),
            found: found.cloned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, label, node, spec, tenant};

    #[test]
    fn every_label_must_match_and_the_first_that_does_not_is_named() {
        let (tenant, mut spec) = (tenant("a"), spec("w"));
        let mut node = node("n", 1);
        node.labels = [label("pool", "train"), label("zone", "a")].into();
        let mut verdict = |asked: &[(&str, &str)]| {
            spec.node_selector = asked.iter().map(|(k, v)| label(k, v)).collect();
            refuses(&node, &ask(1, &tenant, &spec), &Policy::default())
                .map(|reason| reason.to_string())
        };
        assert_eq!(verdict(&[]), None);
        assert_eq!(verdict(&[("pool", "train"), ("zone", "a")]), None);
        let other = "is labelled zone=a; zone=b is asked for".to_owned();
        assert_eq!(verdict(&[("pool", "train"), ("zone", "b")]), Some(other));
        let none = "has no label disk; disk=nvme is asked for".to_owned();
        assert_eq!(verdict(&[("zone", "b"), ("disk", "nvme")]), Some(none));
        let empty = "has no label disk; disk= is asked for".to_owned();
        assert_eq!(verdict(&[("disk", "")]), Some(empty));
    }
}
