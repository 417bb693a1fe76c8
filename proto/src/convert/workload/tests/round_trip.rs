//! Every valid workload comes back as it was sent.

use crate::convert::workload::*;
use dovetail_model::{
    gpu::ModelPattern,
    id::Name,
    label::{LabelKey, LabelValue, Labels, Toleration},
    resources::{GpuAmount, GpuRequest, GpuShare, Level, Resources},
    units::{Bytes, CpuMilli, GpuMilli},
    workload::WorkloadKind,
};
use proptest::{collection, option, prelude::*};

fn name() -> impl Strategy<Value = Name> {
    "[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?".prop_map(|text| Name::new(&text).unwrap())
}

fn gpu() -> impl Strategy<Value = GpuRequest> {
    let milli = || (1_u64..=1000).prop_map(GpuMilli);
    let size = || (1_u64 << 20..=16 << 40).prop_map(Bytes);
    let amount = prop_oneof![
        (1_u32..=64).prop_map(|count| GpuAmount::Whole { count }),
        milli().prop_map(|c| GpuAmount::Share(GpuShare::Compute(c))),
        size().prop_map(|m| GpuAmount::Share(GpuShare::Memory(m))),
        (milli(), size()).prop_map(|(c, m)| GpuAmount::Share(GpuShare::Both(c, m))),
    ];
    let models = collection::vec(
        "[A-Z][A-Z0-9 -]{0,40}".prop_map(|m| ModelPattern::new(&m)),
        0..16,
    );
    (amount, models).prop_map(|(amount, models)| GpuRequest { amount, models })
}

fn request() -> impl Strategy<Value = Resources> {
    let levels = [
        Level::None,
        Level::Shared,
        Level::Policed,
        Level::Cooperative,
        Level::HardPerProcess,
        Level::Hard,
        Level::Isolated,
    ];
    let level = proptest::sample::select(levels.to_vec());
    (
        1_u64..=4_096_000,
        0_u64..=4_096_000,
        4_u64 << 20..=64 << 40,
        option::of(gpu()),
        level,
    )
        .prop_map(|(cpu, more, memory, gpu, minimum_level)| Resources {
            cpu: CpuMilli(cpu),
            cpu_limit: CpuMilli((cpu + more).min(4_096_000)),
            memory: Bytes(memory),
            gpu,
            minimum_level,
        })
}

fn policy() -> impl Strategy<Value = Restart> {
    let policies = [
        RestartPolicy::Never,
        RestartPolicy::OnFailure,
        RestartPolicy::Always,
    ];
    (
        proptest::sample::select(policies.to_vec()),
        1_u32..=1000,
        BACKOFF_NS,
    )
        .prop_map(|(policy, limit, backoff_ns)| Restart {
            policy,
            limit,
            backoff_ns,
        })
}

fn key() -> impl Strategy<Value = LabelKey> {
    "([a-z]{1,9}\\.[a-z]{1,9}/)?[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,20}[a-zA-Z0-9])?"
        .prop_map(|text| LabelKey::new(&text).unwrap())
}

fn value() -> impl Strategy<Value = LabelValue> {
    "[a-zA-Z0-9]{0,63}".prop_map(|text| LabelValue::new(&text).unwrap())
}

fn toleration() -> impl Strategy<Value = Toleration> {
    prop_oneof![
        key().prop_map(|key| Toleration::Exists { key }),
        (key(), value()).prop_map(|(key, value)| Toleration::Equal { key, value }),
    ]
}

fn nodes() -> impl Strategy<Value = (Labels, Vec<Toleration>)> {
    (
        collection::btree_map(key(), value(), 0..16),
        collection::vec(toleration(), 0..16),
    )
}

fn movable() -> impl Strategy<Value = Option<Movable>> {
    let movable = RESTART_COST_SECONDS.prop_map(|restart_cost_seconds| Movable {
        restart_cost_seconds,
    });
    option::of(movable)
}

prop_compose! {
    fn run()(
        argv in collection::vec("[^\0/]{1,20}", 1..8),
        env in collection::btree_map("[a-z_][a-zA-Z0-9_]{0,20}", "[^\0]{0,20}", 0..8),
        workdir in "/[a-z/]{0,20}",
        user in "[a-z0-9_.@-]{0,20}",
        labels in collection::btree_map("[a-zä./-]{1,20}", "[a-z]{0,20}", 0..8),
    ) -> WorkloadSpec {
        WorkloadSpec { argv, env, workdir, user, labels, ..WorkloadSpec::example("x") }
    }
}

prop_compose! {
    fn any_spec()(
        base in run(),
        names in (name(), name()),
        kind in proptest::sample::select(
            vec![WorkloadKind::Batch, WorkloadKind::Service, WorkloadKind::Session]
        ),
        numbers in (GANG_SIZE, PRIORITY, 1_i32..=31),
        spans in (option::of(MAX_RUNTIME_NS), STOP_GRACE_NS),
        resources in request(),
        restart in policy(),
        nodes in nodes(),
        movable in movable(),
    ) -> WorkloadSpec {
        WorkloadSpec {
            name: names.0,
            queue: names.1,
            kind,
            gang_size: numbers.0,
            priority: numbers.1,
            stop_signal: numbers.2,
            max_runtime_ns: spans.0,
            stop_grace_ns: spans.1,
            resources,
            restart,
            node_selector: nodes.0,
            tolerations: nodes.1,
            movable,
            ..base
        }
    }
}

proptest! {
    #[test]
    fn every_valid_workload_comes_back_as_it_was_sent(sent in any_spec()) {
        prop_assert_eq!(spec(spec_to_wire(&sent)), Ok(sent));
    }
}
