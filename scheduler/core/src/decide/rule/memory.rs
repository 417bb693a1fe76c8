//! A member's memory fits in what the node has not given away.

use crate::{decide::Ask, policy::Policy, view::NodeView};
use dovetail_model::reason::Reason;

pub(super) fn refuses(node: &NodeView, ask: &Ask<'_>, _: &Policy) -> Option<Reason> {
    let (asked, free) = (ask.resources().memory, node.memory_free);
    (asked > free).then_some(Reason::InsufficientMemory { asked, free })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, spec, tenant};
    use dovetail_model::units::Bytes;

    #[test]
    fn the_last_byte_may_be_taken_and_no_more() {
        let (tenant, mut spec) = (tenant("a"), spec("w"));
        let mut node = node("n", 0);
        node.memory_free = Bytes(1 << 30);
        spec.resources.memory = Bytes(1 << 30);
        assert_eq!(
            refuses(&node, &ask(1, &tenant, &spec), &Policy::default()),
            None
        );
        node.memory_free = Bytes((1 << 30) - 1);
        let reason = Reason::InsufficientMemory {
            asked: Bytes(1 << 30),
            free: Bytes((1 << 30) - 1),
        };
        assert_eq!(
            refuses(&node, &ask(1, &tenant, &spec), &Policy::default()),
            Some(reason)
        );
    }
}
