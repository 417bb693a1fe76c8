//! What a workload asks for, from and to the wire.

use super::{
    Fields,
    enums::{LEVELS, level_to_wire},
};
use crate::v1;
use dovetail_model::{
    gpu::ModelPattern,
    resources::{GpuAmount, GpuRequest, GpuShare, Level, Resources},
    units::{Bytes, CpuMilli, GpuMilli},
    workload::{CPU_MILLI, MEMORY_BYTES, MODELS_MAX, SHARE_BYTES, SHARE_MILLI, WHOLE_GPUS},
};
use std::ops::RangeInclusive;

/// Most bytes of a model: as many as the driver gives a device's name.
const MODEL_MAX_BYTES: usize = 96;

pub(super) fn read(wire: v1::Resources, fields: &mut Fields) -> Option<Resources> {
    let cpu = fields.range("cpu_milli", wire.cpu_milli, &CPU_MILLI);
    let cpu_limit = read_limit(wire.cpu_limit_milli, cpu, fields);
    let memory = fields.range(
        "memory_bytes",
        Bytes(wire.memory_bytes),
        &bytes(&MEMORY_BYTES),
    );
    let minimum_level = fields.choice_or(
        "minimum_level",
        wire.minimum_level,
        &LEVELS,
        Level::default(),
    );
    let gpu = match wire.gpu {
        None => Some(None),
        Some(gpu) => fields
            .within("gpu", |fields| read_gpu(gpu, fields))
            .map(Some),
    };
    Some(Resources {
        cpu: CpuMilli(cpu?),
        cpu_limit: cpu_limit?,
        memory: memory?,
        gpu: gpu?,
        minimum_level: minimum_level?,
    })
}

/// The limit, which follows from the request where it is absent.
fn read_limit(limit: Option<u64>, cpu: Option<u64>, fields: &mut Fields) -> Option<CpuMilli> {
    let Some(limit) = limit else {
        return cpu.map(CpuMilli);
    };
    // A bad request is named by itself; the limit is then held to the smallest one.
    let least = cpu.unwrap_or(*CPU_MILLI.start());
    if limit < least {
        fields.bad(
            "cpu_limit_milli",
            format!("must be at least cpu_milli, which is {least}, got {limit}"),
        );
        return None;
    }
    let range = least..=*CPU_MILLI.end();
    fields.range("cpu_limit_milli", limit, &range).map(CpuMilli)
}

fn read_gpu(wire: v1::GpuRequest, fields: &mut Fields) -> Option<GpuRequest> {
    let amount = match wire.amount {
        None => {
            fields.bad("", "must have exactly one of `whole` and `share`");
            None
        }
        Some(v1::gpu_request::Amount::Whole(whole)) => fields
            .within("whole", |fields| {
                fields.range("count", whole.count, &WHOLE_GPUS)
            })
            .map(|count| GpuAmount::Whole { count }),
        Some(v1::gpu_request::Amount::Share(share)) => fields
            .within("share", |fields| read_share(share, fields))
            .map(GpuAmount::Share),
    };
    let models = read_models(wire.models, fields);
    Some(GpuRequest {
        amount: amount?,
        models: models?,
    })
}

fn read_share(wire: v1::GpuShare, fields: &mut Fields) -> Option<GpuShare> {
    let compute = wire.compute_milli.map(|milli| {
        fields
            .range("compute_milli", milli, &SHARE_MILLI)
            .map(|milli| GpuMilli(milli.into()))
    });
    let memory = wire
        .memory_bytes
        .map(|size| fields.range("memory_bytes", Bytes(size), &bytes(&SHARE_BYTES)));
    match (compute, memory) {
        (None, None) => {
            fields.bad("", "must have `compute_milli`, `memory_bytes` or both");
            None
        }
        (Some(compute), None) => Some(GpuShare::Compute(compute?)),
        (None, Some(memory)) => Some(GpuShare::Memory(memory?)),
        (Some(compute), Some(memory)) => Some(GpuShare::Both(compute?, memory?)),
    }
}

fn read_models(wire: Vec<String>, fields: &mut Fields) -> Option<Vec<ModelPattern>> {
    fields.count("models", wire.len(), MODELS_MAX)?;
    fields.each("models", wire, |fields, model| {
        fields.filled_line("", &model, MODEL_MAX_BYTES)?;
        Some(ModelPattern::new(&model))
    })
}

/// A range of sizes, so that a refusal says `4 MiB to 64 TiB`.
pub(super) fn bytes(range: &RangeInclusive<u64>) -> RangeInclusive<Bytes> {
    Bytes(*range.start())..=Bytes(*range.end())
}

/// What a workload asks for, on the wire, with every default said.
pub fn to_wire(resources: &Resources) -> v1::Resources {
    v1::Resources {
        cpu_milli: resources.cpu.0,
        cpu_limit_milli: Some(resources.cpu_limit.0),
        memory_bytes: resources.memory.0,
        gpu: resources.gpu.as_ref().map(gpu_to_wire),
        minimum_level: level_to_wire(resources.minimum_level).into(),
    }
}

fn gpu_to_wire(gpu: &GpuRequest) -> v1::GpuRequest {
    let amount = match gpu.amount {
        GpuAmount::Whole { count } => v1::gpu_request::Amount::Whole(v1::WholeGpus { count }),
        GpuAmount::Share(share) => v1::gpu_request::Amount::Share(share_to_wire(share)),
    };
    v1::GpuRequest {
        amount: Some(amount),
        models: gpu.models.iter().map(ToString::to_string).collect(),
    }
}

fn share_to_wire(share: GpuShare) -> v1::GpuShare {
    let (compute, memory) = match share {
        GpuShare::Compute(compute) => (Some(compute), None),
        GpuShare::Memory(memory) => (None, Some(memory)),
        GpuShare::Both(compute, memory) => (Some(compute), Some(memory)),
    };
    v1::GpuShare {
        compute_milli: compute.map(milli_to_wire),
        memory_bytes: memory.map(|memory| memory.0),
    }
}

/// Compute of a GPU on the wire. Nothing has more than a GPU's 1000, so the bound is never met.
pub(super) fn milli_to_wire(compute: GpuMilli) -> u32 {
    u32::try_from(compute.0).unwrap_or(u32::MAX)
}
