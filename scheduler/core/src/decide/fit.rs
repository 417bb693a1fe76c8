//! How good a fit is, as an integer: the least is taken. All of the packing policy is here.

use super::Ask;
use crate::view::{GpuView, NodeView};
use dovetail_model::{
    resources::{GpuAmount, GpuShare},
    units::{Bytes, CpuMilli},
};

/// Weight of an empty GPU that is broken or left over: more than all the leftovers of one node
/// together, which are four times at most 1000.
const EMPTY_GPU: u64 = 4096;

/// What a fit costs; ties go by the fixed hash of the node's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Score {
    cost: u64,
    tie: u64,
}

/// Cost of a member on a node that takes it, on this of its GPUs if it is a share.
///
/// Empty GPUs are worth most, so whole ones are taken where fewest stay empty, shares go where a
/// GPU is broken already, and work without a GPU keeps off nodes with empty ones. After that the
/// fullest place is best.
pub(super) fn node(node: &NodeView, ask: &Ask<'_>, share_on: Option<&GpuView>) -> Score {
    let empty = node.gpus.iter().filter(|gpu| gpu.is_empty()).count() as u64;
    let amount = ask.resources().gpu.as_ref().map(|gpu| gpu.amount);
    let gpus = match (amount, share_on) {
        (None, _) => empty * EMPTY_GPU,
        (Some(GpuAmount::Whole { count }), _) => empty.saturating_sub(count.into()) * EMPTY_GPU,
        (Some(GpuAmount::Share(share)), Some(gpu)) => {
            let others = if gpu.is_empty() { empty - 1 } else { 0 };
            others * EMPTY_GPU + self::gpu(gpu, share)
        }
        (Some(GpuAmount::Share(_)), None) => u64::MAX / 2,
    };
    Score {
        cost: gpus + room(node, ask),
        tie: node.tie,
    }
}

/// Cost of a share on a GPU that takes it: what stays unused of it, and that it was empty.
pub(super) fn gpu(gpu: &GpuView, share: GpuShare) -> u64 {
    let (compute, memory) = share.on(gpu.memory_total);
    let breaks = if gpu.is_empty() { EMPTY_GPU } else { 0 };
    let left = gpu.compute_free.minus(compute).0.min(1000);
    breaks + left + permille(gpu.memory_free.minus(memory).0, gpu.memory_total.0)
}

fn room(node: &NodeView, ask: &Ask<'_>) -> u64 {
    let cpu: CpuMilli = node.cpu_free.minus(ask.resources().cpu);
    let memory: Bytes = node.memory_free.minus(ask.resources().memory);
    permille(cpu.0, node.cpu_total.0) + permille(memory.0, node.memory_total.0)
}

/// 0 to 1000.
fn permille(part: u64, whole: u64) -> u64 {
    let value = u128::from(part) * 1000 / u128::from(whole.max(1));
    u64::try_from(value.min(1000)).unwrap_or(1000)
}
