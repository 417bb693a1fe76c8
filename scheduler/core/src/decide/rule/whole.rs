//! A GPU is given whole only if nobody is on it: no slice, and nothing foreign.

use crate::{decide::Ask, policy::Policy, view::GpuView};
use dovetail_model::{
    reason::Reason,
    resources::{GpuAmount, GpuRequest},
    units::Bytes,
};

pub(super) fn refuses(
    gpu: &GpuView,
    request: &GpuRequest,
    _: &Ask<'_>,
    _: &Policy,
) -> Option<Reason> {
    match request.amount {
        GpuAmount::Share(_) => None,
        GpuAmount::Whole { .. } if !gpu.holders.is_empty() => Some(Reason::GpuInUse {
            slices: u32::try_from(gpu.holders.len()).unwrap_or(u32::MAX),
        }),
        GpuAmount::Whole { .. } if gpu.external > Bytes::ZERO => {
            Some(Reason::InsufficientGpuMemory {
                asked: gpu.memory_total,
                free: gpu.memory_free,
            })
        }
        GpuAmount::Whole { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, share, slice, spec, tenant, whole};

    #[test]
    fn a_slice_or_a_foreign_process_keeps_a_gpu_from_being_whole() {
        let (tenant, spec) = (tenant("a"), spec("w"));
        let ask = ask(1, &tenant, &spec);
        let verdict = |gpu: &GpuView, request| refuses(gpu, &request, &ask, &Policy::default());
        let empty = node("n", 1).gpus.remove(0);
        assert_eq!(verdict(&empty, whole(1)), None);
        let mut held = empty.clone();
        held.holders.push((slice(7), tenant.clone()));
        assert_eq!(
            verdict(&held, whole(1)),
            Some(Reason::GpuInUse { slices: 1 })
        );
        assert_eq!(verdict(&held, share(100)), None);
        let mut foreign = empty;
        foreign.external = Bytes(1);
        foreign.memory_free = foreign.memory_total.minus(Bytes(1));
        let reason = Reason::InsufficientGpuMemory {
            asked: foreign.memory_total,
            free: foreign.memory_free,
        };
        assert_eq!(verdict(&foreign, whole(1)), Some(reason));
    }
}
