//! A closed node takes nothing new: an operator cordoned it, or it does not report.

use crate::{decide::Ask, policy::Policy, view::NodeView};
use dovetail_model::reason::Reason;

pub(super) fn refuses(node: &NodeView, _: &Ask<'_>, _: &Policy) -> Option<Reason> {
    node.closed.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, spec, tenant};

    #[test]
    fn a_closed_node_gives_its_own_reason() {
        let (tenant, spec) = (tenant("a"), spec("w"));
        let ask = ask(1, &tenant, &spec);
        let mut node = node("n", 1);
        assert_eq!(refuses(&node, &ask, &Policy::default()), None);
        for why in [
            Reason::NodeUnreachable,
            Reason::NodeCordoned { why: String::new() },
        ] {
            node.closed = Some(why.clone());
            assert_eq!(refuses(&node, &ask, &Policy::default()), Some(why));
        }
    }
}
