//! A share's compute fits in what the GPU has not given away.

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
    let (asked, free) = (share.on(gpu.memory_total).0, gpu.compute_free);
    (asked > free).then_some(Reason::InsufficientGpuCompute { asked, free })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, share, spec, tenant, whole};
    use dovetail_model::{
        resources::GpuShare,
        units::{Bytes, GpuMilli},
    };

    #[test]
    fn compute_that_follows_from_memory_counts_too() {
        let (tenant, spec) = (tenant("a"), spec("w"));
        let ask = ask(1, &tenant, &spec);
        let mut gpu = node("n", 1).gpus.remove(0);
        gpu.compute_free = GpuMilli(400);
        let verdict = |request| refuses(&gpu, &request, &ask, &Policy::default());
        let lack = |asked| {
            Some(Reason::InsufficientGpuCompute {
                asked: GpuMilli(asked),
                free: GpuMilli(400),
            })
        };
        assert_eq!(verdict(share(400)), None);
        assert_eq!(verdict(share(401)), lack(401));
        assert_eq!(verdict(whole(1)), None);
        let half = GpuRequest {
            amount: GpuAmount::Share(GpuShare::Memory(Bytes(40 << 30))),
            models: Vec::new(),
        };
        assert_eq!(verdict(half), lack(500));
    }
}
