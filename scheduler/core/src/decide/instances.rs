//! Small cluster and queue pairs with a name, for tests, benches and the demo.

use super::Ask;
use crate::view::{ClusterView, GpuView, NodeView, tie};
use dovetail_model::{
    gpu::{GpuHealth, GpuModel},
    id::{GpuUuid, Name, Tenant, WorkloadId},
    label::Labels,
    resources::{GpuAmount, GpuRequest, Level},
    units::{Bytes, CpuMilli, WHOLE_GPU},
    workload::WorkloadSpec,
};

/// A cluster and those who want a place on it, in queue order.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The cluster.
    pub view: ClusterView,
    /// Whose the workloads are.
    pub tenant: Tenant,
    /// What they are, in queue order.
    pub specs: Vec<WorkloadSpec>,
}

impl Instance {
    /// The queue; workloads are numbered from 1.
    pub fn queue(&self) -> Vec<Ask<'_>> {
        let ask = |(id, spec)| Ask {
            workload: WorkloadId(id),
            attempt: 1,
            tenant: &self.tenant,
            spec,
        };
        (1..).zip(&self.specs).map(ask).collect()
    }
}

/// Best fit strands a gang: on two nodes with 8 GPUs, two batch workloads of 3 whole GPUs go to one
/// node, and the gang of 2 members with 5 each does not fit any more. With one of them on each node
/// everything fits, and no GPU is left.
pub fn stranded_gang() -> Instance {
    let spec = |name: &str, gang_size, count| {
        let mut spec = WorkloadSpec::example(name);
        spec.gang_size = gang_size;
        spec.resources.gpu = Some(GpuRequest {
            amount: GpuAmount::Whole { count },
            models: Vec::new(),
        });
        spec
    };
    Instance {
        view: ClusterView::of([node("node-1", 8), node("node-2", 8)]),
        tenant: Tenant("uid:1000".into()),
        specs: vec![spec("a", 1, 3), spec("b", 1, 3), spec("c", 2, 5)],
    }
}

/// An empty node with so many H100 of 80 GiB, 64 cores and 512 GiB; the name must be valid.
pub fn node(name: &str, gpus: u32) -> NodeView {
    let name = Name::new(name).unwrap_or_else(|error| panic!("{error}"));
    let (cpu, memory) = (CpuMilli(64_000), Bytes(512 << 30));
    NodeView {
        tie: tie(&name),
        closed: None,
        labels: Labels::new(),
        taints: Vec::new(),
        cpu_total: cpu,
        cpu_free: cpu,
        memory_total: memory,
        memory_free: memory,
        slices: 0,
        level: Level::Shared,
        gpus: (0..gpus).map(|index| gpu(&name, index)).collect(),
        name,
    }
}

fn gpu(node: &Name, index: u32) -> GpuView {
    let (name, memory) = ("NVIDIA H100 80GB HBM3", Bytes(80 << 30));
    GpuView {
        uuid: GpuUuid(format!("GPU-{node}-{index}").into()),
        index,
        name: name.to_owned(),
        model: GpuModel::of(name, memory),
        health: GpuHealth::Ok,
        memory_total: memory,
        memory_free: memory,
        compute_free: WHOLE_GPU,
        share_level: Level::Shared,
        whole_level: Level::Isolated,
        holders: Vec::new(),
        external: Bytes::ZERO,
    }
}
