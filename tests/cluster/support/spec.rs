//! Workloads to submit.

use super::is_root;
use dovetail_proto::v1::{
    GpuRequest, GpuShare, Level, Resources, Restart, RestartPolicy, WholeGpus, WorkloadKind,
    WorkloadSpec, gpu_request::Amount,
};

/// A workload that does nothing for an hour: half a core, 64 MiB.
pub(crate) fn sleeper(name: &str) -> WorkloadSpec {
    command(name, &["/bin/sleep", "3600"])
}

/// A workload that runs a script.
pub(crate) fn shell(name: &str, script: &str) -> WorkloadSpec {
    command(name, &["/bin/sh", "-c", script])
}

fn command(name: &str, argv: &[&str]) -> WorkloadSpec {
    WorkloadSpec {
        name: name.to_owned(),
        kind: WorkloadKind::Batch.into(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        // Work does not run as root.
        user: if is_root() { "nobody" } else { "" }.to_owned(),
        resources: Some(Resources {
            cpu_milli: 500,
            memory_bytes: 64 << 20,
            minimum_level: if is_root() {
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

/// Changes to a workload, one after the other.
pub(crate) trait SpecExt: Sized {
    /// The workload.
    fn spec(&mut self) -> &mut WorkloadSpec;

    fn resources(&mut self) -> &mut Resources {
        self.spec().resources.get_or_insert_default()
    }

    fn cpu(mut self, milli: u64) -> Self {
        self.resources().cpu_milli = milli;
        self
    }

    /// Memory in MiB.
    fn memory(mut self, mib: u64) -> Self {
        self.resources().memory_bytes = mib << 20;
        self
    }

    /// A share of one GPU; any model if it is empty.
    fn share(mut self, milli: u32, model: &str) -> Self {
        let share = GpuShare {
            compute_milli: Some(milli),
            memory_bytes: None,
        };
        self.resources().gpu = Some(gpus(Amount::Share(share), model));
        self
    }

    /// Whole GPUs; any model if it is empty.
    fn whole(mut self, count: u32, model: &str) -> Self {
        self.resources().gpu = Some(gpus(Amount::Whole(WholeGpus { count }), model));
        self
    }

    fn gang(mut self, size: u32) -> Self {
        self.spec().gang_size = size;
        self
    }

    fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.spec().env.insert(name.to_owned(), value.into());
        self
    }

    /// Tries again after this many milliseconds, at most so often.
    fn restart(mut self, limit: u32, backoff_ms: i32) -> Self {
        self.spec().restart = Some(Restart {
            policy: RestartPolicy::OnFailure.into(),
            limit,
            backoff: Some(prost_types::Duration {
                seconds: 0,
                nanos: backoff_ms * 1_000_000,
            }),
        });
        self
    }

    /// Killed this many seconds after the stop signal.
    fn grace(mut self, seconds: i64) -> Self {
        self.spec().stop_grace = Some(prost_types::Duration { seconds, nanos: 0 });
        self
    }

    fn max_runtime(mut self, seconds: i64) -> Self {
        self.spec().max_runtime = Some(prost_types::Duration { seconds, nanos: 0 });
        self
    }
}

impl SpecExt for WorkloadSpec {
    fn spec(&mut self) -> &mut WorkloadSpec {
        self
    }
}

fn gpus(amount: Amount, model: &str) -> GpuRequest {
    let models = if model.is_empty() {
        vec![]
    } else {
        vec![model.to_owned()]
    };
    GpuRequest {
        amount: Some(amount),
        models,
    }
}
