//! What a workload needs, in one line.

use dovetail_model::{
    label::shown,
    resources::{GpuAmount, GpuRequest, GpuShare, Level},
    workload::WorkloadSpec,
};

/// `gang of 2, each 5 whole GPUs (H100), 4 CPU, 16 GiB`.
pub(super) fn line(spec: &WorkloadSpec) -> String {
    let resources = &spec.resources;
    let gang = match spec.gang_size {
        1 => String::new(),
        members => format!("gang of {members}, each "),
    };
    let gpus = resources.gpu.as_ref().map(gpus).unwrap_or_default();
    let level = if resources.minimum_level <= Level::Shared {
        String::new()
    } else {
        format!(", level {} or stronger", resources.minimum_level)
    };
    let nodes = if spec.node_selector.is_empty() {
        String::new()
    } else {
        format!(", nodes labelled {}", shown(&spec.node_selector))
    };
    let (cpu, memory) = (resources.cpu, resources.memory);
    format!("{gang}{gpus}{cpu} CPU, {memory}{level}{nodes}")
}

fn gpus(request: &GpuRequest) -> String {
    let amount = match request.amount {
        GpuAmount::Whole { count: 1 } => "1 whole GPU".to_owned(),
        GpuAmount::Whole { count } => format!("{count} whole GPUs"),
        GpuAmount::Share(GpuShare::Compute(compute)) => format!("{compute} of a GPU"),
        GpuAmount::Share(GpuShare::Memory(memory)) => format!("{memory} of a GPU's memory"),
        GpuAmount::Share(GpuShare::Both(compute, memory)) => {
            format!("{compute} of a GPU with {memory} of its memory")
        }
    };
    let models: Vec<&str> = request.models.iter().map(|model| model.as_str()).collect();
    match models.as_slice() {
        [] => format!("{amount}, "),
        models => format!("{amount} ({}), ", models.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{label, share, spec, whole};
    use dovetail_model::{
        gpu::ModelPattern,
        units::{Bytes, CpuMilli, GpuMilli},
    };

    #[test]
    fn every_shape_of_request_reads_like_a_sentence() {
        let mut spec = spec("w");
        spec.resources.cpu = CpuMilli(4000);
        spec.resources.memory = Bytes(16 << 30);
        assert_eq!(line(&spec), "4 CPU, 16 GiB");
        spec.resources.gpu = Some(share(300));
        assert_eq!(line(&spec), "0.3 of a GPU, 4 CPU, 16 GiB");
        spec.resources.gpu = Some(whole(5));
        spec.gang_size = 2;
        let models = &mut spec.resources.gpu.as_mut().unwrap().models;
        models.push(ModelPattern::new("H100"));
        assert_eq!(
            line(&spec),
            "gang of 2, each 5 whole GPUs (H100), 4 CPU, 16 GiB"
        );
        models_and_level(spec);
    }

    fn models_and_level(mut spec: WorkloadSpec) {
        let both = GpuShare::Both(GpuMilli(250), Bytes(20 << 30));
        spec.gang_size = 1;
        spec.resources.minimum_level = Level::Hard;
        spec.resources.gpu = Some(GpuRequest {
            amount: GpuAmount::Share(both),
            models: vec![ModelPattern::new("A100"), ModelPattern::new("H100-80")],
        });
        assert_eq!(
            line(&spec),
            "0.25 of a GPU with 20 GiB of its memory (A100 or H100-80), 4 CPU, 16 GiB, level hard or stronger"
        );
        spec.resources.gpu = None;
        spec.resources.minimum_level = Level::Shared;
        spec.node_selector = [label("zone", "a"), label("pool", "x")].into();
        assert_eq!(line(&spec), "4 CPU, 16 GiB, nodes labelled pool=x, zone=a");
    }
}
