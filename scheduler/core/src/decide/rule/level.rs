//! Slices are held at least as strongly as asked: by the node, or by the GPU for those that use one.

use crate::{
    decide::Ask,
    policy::Policy,
    view::{GpuView, NodeView},
};
use dovetail_model::{
    reason::Reason,
    resources::{GpuAmount, GpuRequest, Level},
};

pub(super) fn node_refuses(node: &NodeView, ask: &Ask<'_>, _: &Policy) -> Option<Reason> {
    let without_gpu = ask.resources().gpu.is_none();
    without_gpu.then(|| too_weak(ask, node.level)).flatten()
}

pub(super) fn gpu_refuses(
    gpu: &GpuView,
    request: &GpuRequest,
    ask: &Ask<'_>,
    _: &Policy,
) -> Option<Reason> {
    match request.amount {
        GpuAmount::Whole { .. } => too_weak(ask, gpu.whole_level),
        GpuAmount::Share(_) => too_weak(ask, gpu.share_level),
    }
}

fn too_weak(ask: &Ask<'_>, offered: Level) -> Option<Reason> {
    let asked = ask.resources().minimum_level;
    (asked > offered).then_some(Reason::LevelTooWeak { asked, offered })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, share, spec, tenant, whole};

    #[test]
    fn a_share_a_whole_gpu_and_no_gpu_are_held_by_different_things() {
        let tenant = tenant("a");
        let mut node = node("n", 1);
        node.level = Level::Hard;
        node.gpus[0].share_level = Level::Policed;
        node.gpus[0].whole_level = Level::Isolated;
        let weak = |offered| {
            Some(Reason::LevelTooWeak {
                asked: Level::Isolated,
                offered,
            })
        };
        let verdict = |gpu: Option<GpuRequest>| {
            let mut spec = spec("w");
            spec.resources.minimum_level = Level::Isolated;
            spec.resources.gpu = gpu.clone();
            let (ask, policy) = (ask(1, &tenant, &spec), Policy::default());
            match gpu {
                None => node_refuses(&node, &ask, &policy),
                Some(request) => {
                    assert_eq!(node_refuses(&node, &ask, &policy), None);
                    gpu_refuses(&node.gpus[0], &request, &ask, &policy)
                }
            }
        };
        assert_eq!(verdict(None), weak(Level::Hard));
        assert_eq!(verdict(Some(share(300))), weak(Level::Policed));
        assert_eq!(verdict(Some(whole(1))), None);
    }
}
