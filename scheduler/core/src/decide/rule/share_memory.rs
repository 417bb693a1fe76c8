//! A share's memory fits in what the GPU has neither given away nor lost to foreign processes.

use crate::{decide::Ask, policy::Policy, view::GpuView};
use dovetail_model::{
    reason::Reason,
    resources::{GpuAmount, GpuRequest},
};

pub(super) fn refuses(
    gpu: &GpuView,
    request: &GpuRequest,
    _: &Ask<'_>,
    _: &Policy,
) -> Option<Reason> {
    let GpuAmount::Share(share) = request.amount else {
        return None;
    };
    let (asked, free) = (share.on(gpu.memory_total).1, gpu.memory_free);
    (asked > free).then_some(Reason::InsufficientGpuMemory { asked, free })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, share, spec, tenant};
    use dovetail_model::units::Bytes;

    #[test]
    fn memory_that_follows_from_compute_counts_too() {
        let (tenant, spec) = (tenant("a"), spec("w"));
        let ask = ask(1, &tenant, &spec);
        let mut gpu = node("n", 1).gpus.remove(0);
        gpu.memory_free = Bytes(40 << 30);
        let verdict = |request| refuses(&gpu, &request, &ask, &Policy::default());
        assert_eq!(verdict(share(500)), None);
        let reason = Reason::InsufficientGpuMemory {
            asked: Bytes(60 << 30),
            free: Bytes(40 << 30),
        };
        assert_eq!(verdict(share(750)), Some(reason));
    }
}
