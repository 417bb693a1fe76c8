//! A member's CPU request fits in what the node has not given away.

use crate::{decide::Ask, policy::Policy, view::NodeView};
use dovetail_model::reason::Reason;

pub(super) fn refuses(node: &NodeView, ask: &Ask<'_>, _: &Policy) -> Option<Reason> {
    let (asked, free) = (ask.resources().cpu, node.cpu_free);
    (asked > free).then_some(Reason::InsufficientCpu { asked, free })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, spec, tenant};
    use dovetail_model::units::CpuMilli;

    #[test]
    fn the_request_counts_and_not_the_limit() {
        let (tenant, mut spec) = (tenant("a"), spec("w"));
        let mut node = node("n", 0);
        node.cpu_free = CpuMilli(2000);
        spec.resources.cpu = CpuMilli(2000);
        spec.resources.cpu_limit = CpuMilli(8000);
        assert_eq!(
            refuses(&node, &ask(1, &tenant, &spec), &Policy::default()),
            None
        );
        spec.resources.cpu = CpuMilli(2001);
        let reason = Reason::InsufficientCpu {
            asked: CpuMilli(2001),
            free: CpuMilli(2000),
        };
        assert_eq!(
            refuses(&node, &ask(1, &tenant, &spec), &Policy::default()),
            Some(reason)
        );
    }
}
