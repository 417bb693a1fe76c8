//! A node has enough GPUs that serve the member: as many as whole ones are asked, one for a share.

use super::fitting_gpus;
use crate::{decide::Ask, policy::Policy, view::NodeView};
use dovetail_model::{reason::Reason, resources::GpuAmount};

pub(super) fn refuses(node: &NodeView, ask: &Ask<'_>, policy: &Policy) -> Option<Reason> {
    let request = ask.resources().gpu.as_ref()?;
    if node.gpus.is_empty() {
        return Some(Reason::NoGpu);
    }
    let mut fitting = fitting_gpus(node, ask, policy);
    match request.amount {
        GpuAmount::Share(_) if fitting.next().is_none() => Some(Reason::NoGpuFits {
            gpus: u32::try_from(node.gpus.len()).unwrap_or(u32::MAX),
        }),
        GpuAmount::Share(_) => None,
        GpuAmount::Whole { count: asked } => {
            let free = u32::try_from(fitting.count()).unwrap_or(u32::MAX);
            (asked > free).then_some(Reason::InsufficientWholeGpus { asked, free })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, share, slice, spec, tenant, whole};
    use dovetail_model::{resources::GpuRequest, units::GpuMilli};

    fn verdict(node: &NodeView, gpu: Option<GpuRequest>) -> Option<Reason> {
        let (tenant, mut spec) = (tenant("a"), spec("w"));
        spec.resources.gpu = gpu;
        refuses(node, &ask(1, &tenant, &spec), &Policy::default())
    }

    #[test]
    fn whole_gpus_are_counted_and_one_is_enough_for_a_share() {
        let mut node = node("n", 3);
        node.gpus[0].compute_free = GpuMilli(100);
        node.gpus[0].holders.push((slice(7), tenant("a")));
        let (asked, free) = (3, 2);
        assert_eq!(verdict(&node, Some(whole(2))), None);
        assert_eq!(
            verdict(&node, Some(whole(3))),
            Some(Reason::InsufficientWholeGpus { asked, free })
        );
        assert_eq!(verdict(&node, Some(share(1000))), None);
        node.gpus.truncate(1);
        assert_eq!(
            verdict(&node, Some(share(101))),
            Some(Reason::NoGpuFits { gpus: 1 })
        );
        assert_eq!(verdict(&node, None), None);
    }

    #[test]
    fn a_node_without_gpus_says_so() {
        assert_eq!(verdict(&node("n", 0), Some(share(1))), Some(Reason::NoGpu));
    }
}
