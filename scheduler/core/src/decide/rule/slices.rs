//! A node has at most so many slices: it bounds every desired state and every report.

use crate::{decide::Ask, policy::Policy, view::NodeView};
use dovetail_model::reason::Reason;

pub(super) fn refuses(node: &NodeView, _: &Ask<'_>, _: &Policy) -> Option<Reason> {
    let limit = NodeView::SLICES_LIMIT;
    (node.slices >= limit).then_some(Reason::TooManySlices { limit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, spec, tenant};

    #[test]
    fn the_last_slice_fits_and_the_next_does_not() {
        let (tenant, spec) = (tenant("a"), spec("w"));
        let ask = ask(1, &tenant, &spec);
        let mut node = node("n", 0);
        node.slices = 1023;
        assert_eq!(refuses(&node, &ask, &Policy::default()), None);
        node.slices = 1024;
        let reason = Reason::TooManySlices { limit: 1024 };
        assert_eq!(refuses(&node, &ask, &Policy::default()), Some(reason));
    }
}
