//! Replays of hand-made traces with known answers, and properties of random ones.

use super::*;
use crate::{
    cluster::{Decision, GpuSet},
    demand::{Demand, Models},
    policy::{self, PolicyName},
    trace::NodeRow,
};
use clap::ValueEnum;
use proptest::prelude::*;

/// A trace of nodes (cores, GPUs, model) and arriving pods (cores, GPUs, milli, models).
fn trace(nodes: &[(u64, u8, u8)], pods: &[(u64, u8, u16, u64)]) -> Trace {
    let nodes = (0..)
        .zip(nodes)
        .map(|(number, (cores, gpus, model))| NodeRow {
            name: format!("n{number}"),
            cpu_milli: cores * 1000,
            memory_mib: 1000,
            gpus: *gpus,
            model: *model,
        });
    let spec = |models| {
        if models == u64::MAX {
            0
        } else {
            u16::try_from(models).unwrap()
        }
    };
    let demands = pods.iter().map(|(cores, gpus, milli, models)| Demand {
        cpu_milli: cores * 1000,
        memory_mib: 100,
        gpus: *gpus,
        gpu_milli: *milli,
        models: Models(*models),
        spec: spec(*models),
    });
    let (demands, mut classes): (Vec<Demand>, Vec<Demand>) = demands.map(|d| (d, d)).unzip();
    classes.sort_unstable();
    classes.dedup();
    let class = |demand: &Demand| classes.binary_search(demand).unwrap();
    let arrivals: Vec<usize> = demands.iter().map(class).collect();
    Trace {
        nodes: nodes.collect(),
        models: vec!["T4".to_owned(), "P100".to_owned()],
        specs: ["", "T4", "P100"].map(str::to_owned).to_vec(),
        pods: arrivals.clone(),
        arrivals,
        classes,
    }
}

/// Passes decisions on and keeps them.
struct Recorder {
    inner: Box<dyn Policy>,
    placed: Vec<(usize, Decision)>,
}

impl Policy for Recorder {
    fn decide(&mut self, cluster: &Cluster, class: usize) -> Option<Decision> {
        self.inner.decide(cluster, class)
    }

    fn placed(&mut self, cluster: &Cluster, class: usize, decision: Decision) {
        self.placed.push((class, decision));
        self.inner.placed(cluster, class, decision);
    }

    fn removed(&mut self, cluster: &Cluster, class: usize, decision: Decision) {
        self.inner.removed(cluster, class, decision);
    }
}

fn replay(trace: &Trace, name: PolicyName) -> (Outcome, Vec<(usize, Decision)>) {
    let inner = policy::of(name, trace, 42);
    let placed = Vec::new();
    let mut recorder = Recorder { inner, placed };
    let outcome = online(trace, &mut recorder, || {}).unwrap();
    (outcome, recorder.placed)
}

/// Node and GPUs of each pod that was placed.
fn places(trace: &Trace, name: PolicyName) -> Vec<(usize, u16)> {
    let (_, placed) = replay(trace, name);
    placed.iter().map(|(_, at)| (at.node, at.gpus.0)).collect()
}

#[test]
fn curve_refusals_and_first_refusal_are_those_of_a_trace_worked_out_by_hand() {
    const ANY: u64 = u64::MAX;
    // Two GPUs: 600 + 600 fit, then neither a whole GPU nor another 600; a share of 400 does.
    let pods = [
        (1, 1, 600, ANY),
        (1, 1, 600, ANY),
        (1, 1, 1000, ANY),
        (1, 1, 600, ANY),
    ];
    let more = [(1, 1, 400, ANY), (99, 0, 0, ANY), (1, 2, 1000, ANY)];
    let trace = trace(&[(64, 2, 0)], &[&pods[..], &more[..]].concat());
    for name in PolicyName::value_variants() {
        let (outcome, placed) = replay(&trace, *name);
        assert_eq!(placed.len(), 3, "{name}");
        let failed = Failed {
            total: 4,
            cpu_only: 1,
            share: 1,
            gpu1: 1,
            gpu2: 1,
            gpu4: 0,
            gpu8: 0,
        };
        assert_eq!(outcome.failed, failed, "{name}");
        assert_eq!(
            outcome.first_refusal_percent,
            Some(Decimal::hundredths(11_000)),
            "{name}"
        );
        let points = outcome.curve.points();
        let at = |percent: u64| points[&percent].units;
        // The share and the CPU pod both arrive at 160 %.
        assert_eq!(
            [30, 60, 110, 140, 160, 260].map(at),
            [3000, 6000, 6000, 6000, 8000, 8000]
        );
        assert_eq!(outcome.decisions_ns.len(), 7);
    }
}

#[test]
fn policies_differ_where_their_rules_say_so() {
    const ANY: u64 = u64::MAX;
    // A large node first, then a small one; a share, then a whole GPU, then a share.
    let pods = [(1, 1, 500, ANY), (1, 1, 1000, ANY), (1, 1, 500, ANY)];
    let trace = trace(&[(32, 4, 0), (8, 2, 1)], &pods);
    let tight = vec![(1, 0b01), (1, 0b10), (1, 0b01)];
    let of = |name| places(&trace, name);
    assert_eq!(of(PolicyName::FirstFit), [(0, 0b01), (0, 0b10), (0, 0b01)]);
    assert_eq!(of(PolicyName::BestFit), tight);
    assert_eq!(of(PolicyName::GpuPacking), tight);
    assert_eq!(
        of(PolicyName::GpuClustering),
        [(1, 0b01), (0, 0b01), (1, 0b01)]
    );
}

#[test]
fn a_wanted_model_is_kept_to_by_every_policy() {
    let pods = [
        (1, 1, 500, 0b10),
        (1, 1, 1000, 0b10),
        (1, 2, 1000, 0b01),
        (1, 1, 600, 0b10),
    ];
    let trace = trace(&[(32, 4, 0), (8, 2, 1)], &pods);
    for name in PolicyName::value_variants() {
        let nodes: Vec<usize> = places(&trace, *name)
            .iter()
            .map(|(node, _)| *node)
            .collect();
        assert_eq!(nodes, [1, 1, 0], "{name}: the last one fits on no P100");
    }
}

/// Always answers the same.
struct Stubborn(Option<Decision>);

impl Policy for Stubborn {
    fn decide(&mut self, _: &Cluster, _: usize) -> Option<Decision> {
        self.0
    }

    fn placed(&mut self, _: &Cluster, _: usize, _: Decision) {}

    fn removed(&mut self, _: &Cluster, _: usize, _: Decision) {}
}

#[test]
fn a_policy_that_oversubscribes_or_refuses_what_fits_is_found_out() {
    let pods = [(1, 1, 600, u64::MAX), (1, 1, 600, u64::MAX)];
    let trace = trace(&[(64, 2, 0)], &pods);
    let (node, gpus) = (0, GpuSet(1));
    let error = online(&trace, &mut Stubborn(Some(Decision { node, gpus })), || {}).unwrap_err();
    assert!(
        matches!(error, ReplayError::Oversubscribed { arrival: 1, .. }),
        "{error}"
    );
    let error = online(&trace, &mut Stubborn(None), || {}).unwrap_err();
    assert!(
        matches!(error, ReplayError::RefusedThoughItFits { arrival: 0 }),
        "{error}"
    );
}

/// What is placed, counted anew from the decisions alone.
fn recount(trace: &Trace, placed: &[(usize, Decision)]) {
    for (number, node) in trace.nodes.iter().enumerate() {
        let here = placed.iter().filter(|(_, at)| at.node == number);
        let here: Vec<_> = here
            .map(|(class, at)| (trace.classes[*class], at.gpus))
            .collect();
        assert!(here.iter().map(|(d, _)| d.cpu_milli).sum::<u64>() <= node.cpu_milli);
        assert!(here.iter().map(|(d, _)| d.memory_mib).sum::<u64>() <= node.memory_mib);
        for gpu in 0..16 {
            let on = here.iter().filter(|(_, gpus)| gpus.0 & (1 << gpu) != 0);
            let used: u64 = on.map(|(d, _)| u64::from(d.gpu_milli)).sum();
            assert!(used <= if gpu < node.gpus { 1000 } else { 0 });
        }
        for (demand, gpus) in here {
            assert_eq!(gpus.0.count_ones(), u32::from(demand.gpus));
            assert!(demand.gpus == 0 || demand.models.has(node.model));
        }
    }
}

fn any_pod() -> impl Strategy<Value = (u64, u8, u16, u64)> {
    let models = prop_oneof![Just(u64::MAX), Just(0b01), Just(0b10)];
    let gpu = prop_oneof![
        Just((0, 0)),
        (1..=1000_u16).prop_map(|milli| (1, milli)),
        (1..=8_u8).prop_map(|gpus| (gpus, 1000)),
    ];
    (0..20_u64, gpu, models).prop_map(|(cores, (gpus, milli), models)| (cores, gpus, milli, models))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_oversubscribed_and_equal_runs_are_equal(
        nodes in prop::collection::vec((0..64_u64, 0..=8_u8, 0..2_u8), 1..8),
        pods in prop::collection::vec(any_pod(), 0..80),
    ) {
        prop_assume!(nodes.iter().any(|(_, gpus, _)| *gpus > 0));
        let trace = trace(&nodes, &pods);
        for name in PolicyName::value_variants() {
            let (outcome, placed) = replay(&trace, *name);
            recount(&trace, &placed);
            let refused = usize::try_from(outcome.failed.total).unwrap();
            prop_assert_eq!(placed.len() + refused, pods.len());
            let sum: u64 = placed.iter().map(|(class, _)| trace.classes[*class].total_milli()).sum();
            prop_assert_eq!(outcome.cluster.allocated_milli(), sum);
            prop_assert_eq!(replay(&trace, *name).1, placed);
        }
    }
}
