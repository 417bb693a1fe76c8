//! The workloads of the demo.

use crate::error::CliError;
use dovetail_proto::v1::{
    GpuRequest, GpuShare, Level, Resources, WholeGpus, WorkloadKind, WorkloadSpec,
    gpu_request::Amount,
};

const GIB: u64 = 1 << 30;

/// Who submits, which decides how work may run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Author {
    pub(super) root: bool,
}

impl Author {
    /// A workload that sleeps until it is stopped.
    pub(super) fn sleeper(self, name: &str, kind: WorkloadKind) -> WorkloadSpec {
        self.command(name, kind, &["/bin/sleep", "3600"])
    }

    pub(super) fn command(self, name: &str, kind: WorkloadKind, argv: &[&str]) -> WorkloadSpec {
        WorkloadSpec {
            name: name.to_owned(),
            kind: kind.into(),
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            // Work does not run as root: as root, the demo's runs as nobody.
            user: if self.root {
                "nobody".to_owned()
            } else {
                String::new()
            },
            resources: Some(Resources {
                cpu_milli: 1000,
                memory_bytes: GIB,
                minimum_level: if self.root {
                    Level::Shared
                } else {
                    Level::None
                }
                .into(),
                ..Resources::default()
            }),
            ..WorkloadSpec::default()
        }
    }

    /// The mixed work of the first act.
    pub(super) fn mixed(self) -> Vec<WorkloadSpec> {
        let mut all = Vec::new();
        for index in 1..=4 {
            let chat = self.sleeper(&format!("chat-{index}"), WorkloadKind::Service);
            all.push(share(chat, 300, "H100"));
        }
        for index in 1..=6 {
            let embed = self.sleeper(&format!("embed-{index}"), WorkloadKind::Service);
            all.push(share(embed, 125, "A100"));
        }
        let tune = self.sleeper("finetune", WorkloadKind::Batch);
        all.push(whole(sized(tune, 16_000, 128), 4, "H100"));
        let notebook = self.sleeper("notebook", WorkloadKind::Session);
        all.push(share(sized(notebook, 4000, 32), 500, "A100"));
        for index in 1..=3 {
            let etl = self.sleeper(&format!("etl-{index}"), WorkloadKind::Batch);
            all.push(sized(etl, 8000, 64));
        }
        all
    }

    /// A gang that needs two whole hosts.
    pub(super) fn pretrain(self) -> WorkloadSpec {
        let mut spec = self.sleeper("pretrain", WorkloadKind::Batch);
        spec.gang_size = 2;
        whole(sized(spec, 48_000, 512), 8, "H100")
    }

    /// Three, three, and a gang of two fives on two hosts of eight: packing the threes together,
    /// as every greedy packer does, leaves no room for the gang.
    pub(super) fn puzzle(self) -> Vec<WorkloadSpec> {
        let mut gang = self.sleeper("five-five", WorkloadKind::Batch);
        gang.gang_size = 2;
        vec![
            whole(self.sleeper("three-a", WorkloadKind::Batch), 3, "L4"),
            whole(self.sleeper("three-b", WorkloadKind::Batch), 3, "L4"),
            whole(gang, 5, "L4"),
        ]
    }

    /// Says where it is, then burns as much CPU as it can get.
    pub(super) fn burner(self) -> WorkloadSpec {
        let script = "cat /proc/self/cgroup; while :; do :; done";
        let mut spec = self.command("burner", WorkloadKind::Batch, &["/bin/sh", "-c", script]);
        let resources = spec.resources.get_or_insert_default();
        resources.cpu_milli = 200;
        resources.memory_bytes = GIB / 16;
        spec
    }

    /// Wants a gigabyte and may have 64 MiB.
    pub(super) fn hog(self) -> WorkloadSpec {
        let script = "x=$(head -c 1000000000 /dev/zero | tr '\\0' x); echo ${#x}";
        let mut spec = self.command("hog", WorkloadKind::Batch, &["/bin/sh", "-c", script]);
        spec.resources.get_or_insert_default().memory_bytes = GIB / 16;
        spec
    }
}

fn sized(mut spec: WorkloadSpec, cpu_milli: u64, memory_gib: u64) -> WorkloadSpec {
    let resources = spec.resources.get_or_insert_default();
    resources.cpu_milli = cpu_milli;
    resources.memory_bytes = memory_gib * GIB;
    spec
}

fn share(spec: WorkloadSpec, milli: u32, model: &str) -> WorkloadSpec {
    gpu(
        spec,
        Amount::Share(GpuShare {
            compute_milli: Some(milli),
            memory_bytes: None,
        }),
        model,
    )
}

fn whole(spec: WorkloadSpec, count: u32, model: &str) -> WorkloadSpec {
    gpu(spec, Amount::Whole(WholeGpus { count }), model)
}

fn gpu(mut spec: WorkloadSpec, amount: Amount, model: &str) -> WorkloadSpec {
    let request = GpuRequest {
        amount: Some(amount),
        models: vec![model.to_owned()],
    };
    spec.resources.get_or_insert_default().gpu = Some(request);
    spec
}

/// The one-line form of a workload, for the demo's text.
pub(super) fn line(spec: &WorkloadSpec) -> Result<String, CliError> {
    let resources = spec.resources.as_ref();
    let missing = || CliError::failure(format!("{} has no resources", spec.name));
    let resources = resources.ok_or_else(missing)?;
    Ok(format!(
        "{}: {} thousandths of a core, {} MiB",
        spec.name,
        resources.cpu_milli,
        resources.memory_bytes >> 20
    ))
}
