//! Explanations of whole clusters.

use super::*;
use crate::decide::{
    Board, fits, place,
    tests::{
        ask,
        clusters::{cluster, queue, submission},
        label, node, share, slice, spec, taint, tenant, whole,
    },
};
use dovetail_model::{
    gpu::ModelPattern,
    label::Toleration,
    resources::{GpuAmount, GpuRequest, GpuShare, Level},
    units::CpuMilli,
    workload::WorkloadSpec,
};
use proptest::prelude::*;

const GIB: u64 = 1 << 30;

fn explained(view: &ClusterView, spec: &WorkloadSpec) -> Explanation {
    let tenant = tenant("a");
    explain(
        view,
        &ask(9, &tenant, spec),
        &Policy::default(),
        Revision(3),
        2,
        5,
    )
}

fn flags(explanation: &Explanation) -> Vec<&str> {
    let remedies = explanation.remedies.iter();
    remedies.map(|remedy| remedy.flags.as_str()).collect()
}

/// A node with this many of its first GPUs taken whole.
fn used(name: &str, gpus: u32, taken: usize) -> crate::view::NodeView {
    let mut node = node(name, gpus);
    for gpu in &mut node.gpus[..taken] {
        gpu.holders.push((slice(1), tenant("a")));
        (gpu.compute_free, gpu.memory_free) = (GpuMilli(0), Bytes(0));
    }
    node
}

#[test]
fn a_workload_that_fits_has_no_reason() {
    let explanation = explained(&ClusterView::of([node("n1", 1)]), &spec("w"));
    assert_eq!(explanation.reason, None);
    assert_eq!(explanation.nodes[0].members_fit, 1);
    assert_eq!(explanation.remedies, []);
    let labels = (
        explanation.queue_position,
        explanation.queue_length,
        explanation.revision,
    );
    assert_eq!(labels, (2, 5, Revision(3)));
}

#[test]
fn without_nodes_there_is_nothing_to_change() {
    let explanation = explained(&ClusterView::default(), &spec("w"));
    assert_eq!(explanation.reason, Some(Reason::NoNodes));
    assert_eq!(explanation.remedies, []);
}

#[test]
fn the_nearest_miss_comes_first_and_gives_the_reason() {
    let mut spec = spec("w");
    spec.resources.gpu = Some(whole(8));
    let nodes = [used("n1", 8, 7), used("n2", 8, 2), node("n3", 0)];
    let explanation = explained(&ClusterView::of(nodes), &spec);
    let order: Vec<&str> = explanation.nodes.iter().map(|n| n.node.as_str()).collect();
    assert_eq!(order, ["n2", "n1", "n3"]);
    let (asked, free) = (8, 6);
    assert_eq!(
        explanation.reason,
        Some(Reason::InsufficientWholeGpus { asked, free })
    );
    assert_eq!(
        explanation.counts,
        [("InsufficientWholeGpus", 2), ("NoGpu", 1)]
    );
    assert_eq!(flags(&explanation), ["--gpus 6"]);
    let gpus = &explanation.nodes[0].gpus;
    assert_eq!(gpus[0].reason, Some(Reason::GpuInUse { slices: 1 }));
    assert_eq!(gpus[0].slices, [slice(1)]);
    assert_eq!(gpus[7].reason, None);
}

#[test]
fn a_gang_is_told_how_many_members_fit() {
    let mut spec = spec("w");
    spec.gang_size = 2;
    spec.resources.gpu = Some(whole(5));
    let nodes = [used("n1", 8, 6), node("n2", 8)];
    let explanation = explained(&ClusterView::of(nodes), &spec);
    let (asked, fit) = (2, 1);
    assert_eq!(
        explanation.reason,
        Some(Reason::GangIncomplete { asked, fit })
    );
    assert_eq!(explanation.nodes[0].members_fit, 1);
    assert_eq!(flags(&explanation), ["--gpus 4", "--gang 1"]);
    assert_eq!(
        explanation.needs,
        "gang of 2, each 5 whole GPUs, 1 CPU, 1 GiB"
    );
}

#[test]
fn a_share_is_told_what_its_nearest_gpu_lacks() {
    let mut spec = spec("w");
    spec.resources.gpu = Some(share(500));
    let mut node = used("n1", 2, 1);
    node.gpus[1].compute_free = GpuMilli(370);
    node.gpus[1].memory_free = Bytes(60 * GIB);
    let explanation = explained(&ClusterView::of([node]), &spec);
    let lack = Reason::InsufficientGpuCompute {
        asked: GpuMilli(500),
        free: GpuMilli(370),
    };
    assert_eq!(explanation.reason, Some(lack));
    assert_eq!(explanation.counts, [("NoGpuFits", 1)]);
    assert_eq!(flags(&explanation), ["--gpus 0.37"]);
}

#[test]
fn another_model_or_a_lower_level_is_offered_if_it_helps() {
    let mut spec = spec("w");
    let mut request = share(500);
    request.models.push(ModelPattern::new("A100"));
    spec.resources.gpu = Some(request);
    let view = ClusterView::of([node("n1", 2)]);
    let explanation = explained(&view, &spec);
    let model = "H100-80".to_owned();
    assert_eq!(explanation.reason, Some(Reason::GpuModelMismatch { model }));
    assert_eq!(flags(&explanation), ["--model H100-80"]);
    spec.resources.gpu = Some(share(500));
    spec.resources.minimum_level = Level::Isolated;
    let explanation = explained(&view, &spec);
    assert_eq!(
        explanation.reason.as_ref().map(Reason::token),
        Some("LevelTooWeak")
    );
    assert_eq!(flags(&explanation), ["--minimum-level shared"]);
}

#[test]
fn another_value_of_a_label_is_offered_and_no_value_only_where_none_will_do() {
    let mut spec = spec("w");
    let mut nodes = ["n1", "n2", "n3"].map(|name| node(name, 0));
    nodes[0].labels = [label("zone", "a"), label("disk", "nvme")].into();
    nodes[1].labels = [label("zone", "b"), label("disk", "hdd")].into();
    let view = ClusterView::of(nodes);
    spec.node_selector = [label("zone", "c"), label("disk", "nvme")].into();
    let explanation = explained(&view, &spec);
    assert_eq!(explanation.counts, [("NodeLabelMismatch", 3)]);
    assert_eq!(flags(&explanation), ["--node-selector zone=a"]);
    spec.node_selector = [label("pool", "x")].into();
    let explanation = explained(&view, &spec);
    assert_eq!(flags(&explanation), ["--node-selector pool-"]);
    assert_eq!(explanation.remedies[0].text, "ask for no label pool");
    spec.node_selector = [label("pool", "x"), label("rack", "7")].into();
    let explanation = explained(&view, &spec);
    assert_eq!(
        flags(&explanation),
        ["--node-selector pool- --node-selector rack-"]
    );
}

#[test]
fn a_taint_is_named_and_its_toleration_offered() {
    let mut spec = spec("w");
    let mut nodes = ["n1", "n2"].map(|name| node(name, 0));
    nodes[0].taints = vec![taint("dedicated", "ml")];
    nodes[1].taints = vec![taint("dedicated", "ml"), taint("slow", "")];
    spec.resources.cpu = CpuMilli(70_000);
    let both = explained(&ClusterView::of(nodes.clone()), &spec);
    assert_eq!(flags(&both), ["--cpu 64 --toleration dedicated=ml"]);
    spec.resources.cpu = CpuMilli(1000);
    let explanation = explained(&ClusterView::of(nodes), &spec);
    let text = explanation.reason.unwrap().to_string();
    assert_eq!(
        text,
        "has the taint dedicated=ml:NoSchedule, which is not tolerated"
    );
    assert_eq!(explanation.counts, [("TaintNotTolerated", 2)]);
    assert_eq!(explanation.remedies[0].flags, "--toleration dedicated=ml");
}

#[test]
fn where_no_single_change_is_enough_several_are_offered_together() {
    let mut spec = spec("w");
    spec.resources.cpu = CpuMilli(100_000);
    spec.resources.memory = Bytes(1024 * GIB);
    let explanation = explained(&ClusterView::of([node("n1", 0)]), &spec);
    assert_eq!(flags(&explanation), ["--cpu 64 --memory 512Gi"]);
    assert_eq!(
        explanation.remedies[0].text,
        "take 64 CPU and take 512 GiB of memory"
    );
}

#[test]
fn a_closed_node_offers_no_change_of_the_request() {
    let mut node = node("n1", 8);
    let why = "disk".to_owned();
    node.closed = Some(Reason::NodeCordoned { why });
    let explanation = explained(&ClusterView::of([node]), &spec("w"));
    assert_eq!(explanation.counts, [("NodeCordoned", 1)]);
    assert_eq!(explanation.remedies, []);
}

#[test]
fn all_nodes_are_counted_and_the_nearest_are_shown() {
    let mut spec = spec("w");
    spec.resources.cpu = CpuMilli(100_000);
    let nodes = (0..NODES_SHOWN + 10).map(|index| node(&format!("n{index}"), 0));
    let explanation = explained(&ClusterView::of(nodes), &spec);
    assert_eq!(explanation.counts, [("InsufficientCpu", NODES_SHOWN + 10)]);
    assert_eq!(explanation.nodes.len(), NODES_SHOWN);
}

/// Sets the flags as `dovetail submit` reads them, over what the workload asked for.
fn with_flags(spec: &WorkloadSpec, flags: &str) -> WorkloadSpec {
    let mut spec = spec.clone();
    let words: Vec<&str> = flags.split(' ').collect();
    for pair in words.chunks(2) {
        let &[flag, value] = pair else {
            panic!("`{flags}` has a flag without a value")
        };
        let resources = &mut spec.resources;
        match flag {
            "--gang" => spec.gang_size = value.parse().unwrap(),
            "--cpu" => resources.cpu = value.parse().unwrap(),
            "--memory" => resources.memory = value.parse().unwrap(),
            "--node-selector" => match value.split_once('=') {
                Some((key, value)) => spec.node_selector.extend([label(key, value)]),
                None => {
                    let key = label(value.strip_suffix('-').unwrap(), "").0;
                    assert!(spec.node_selector.remove(&key).is_some(), "{key}");
                }
            },
            "--toleration" => spec.tolerations.push(match value.split_once('=') {
                Some((key, value)) => Toleration::of(&taint(key, value)),
                None => Toleration::of(&taint(value, "")),
            }),
            "--minimum-level" => {
                let levels = [Level::None, Level::Shared, Level::Isolated];
                let named = levels.into_iter().find(|level| level.to_string() == value);
                resources.minimum_level = named.unwrap();
            }
            gpu => with_gpu_flag(resources.gpu.as_mut().unwrap(), gpu, value),
        }
    }
    spec
}

fn with_gpu_flag(request: &mut GpuRequest, flag: &str, value: &str) {
    let memory = match request.amount {
        GpuAmount::Share(GpuShare::Both(_, memory) | GpuShare::Memory(memory)) => Some(memory),
        GpuAmount::Whole { .. } | GpuAmount::Share(GpuShare::Compute(_)) => None,
    };
    let compute = match request.amount {
        GpuAmount::Share(GpuShare::Both(compute, _) | GpuShare::Compute(compute)) => Some(compute),
        GpuAmount::Whole { .. } | GpuAmount::Share(GpuShare::Memory(_)) => None,
    };
    let share = |compute: Option<GpuMilli>, memory: Option<Bytes>| {
        GpuAmount::Share(match (compute, memory) {
            (Some(compute), Some(memory)) => GpuShare::Both(compute, memory),
            (Some(compute), None) => GpuShare::Compute(compute),
            (None, memory) => GpuShare::Memory(memory.unwrap()),
        })
    };
    let milli = || value.parse::<GpuMilli>().unwrap();
    match flag {
        "--gpus" if milli().0 < 1000 => request.amount = share(Some(milli()), memory),
        "--gpus" => {
            let count = value.parse().unwrap();
            request.amount = GpuAmount::Whole { count };
        }
        "--gpu-memory" => request.amount = share(compute, Some(value.parse().unwrap())),
        "--model" => request.models = vec![ModelPattern::new(value)],
        unknown => panic!("`{unknown}` is no flag of submit"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn it_fits_exactly_when_there_is_no_reason_and_every_remedy_makes_it_fit(
        view in cluster(),
        others in queue(),
        (tenant, spec) in submission(),
    ) {
        let policy = Policy::default();
        let mut board = Board::of(view, policy);
        for (id, (tenant, other)) in (1..).zip(&others) {
            place(&mut board, &ask(id, tenant, other));
        }
        let view = board.view().clone();
        let wanted = ask(99, &tenant, &spec);
        let explanation = explain(&view, &wanted, &policy, Revision(1), 1, 1);
        let fits_now = fits(&view, &wanted, &policy);
        prop_assert_eq!(explanation.reason.is_none(), fits_now);
        prop_assert_eq!(&dominant(&board, &wanted), &explanation.reason);
        prop_assert!(!fits_now || explanation.remedies.is_empty());
        for remedy in &explanation.remedies {
            let changed = with_flags(&spec, &remedy.flags);
            prop_assert_ne!(&changed, &spec);
            let changed = ask(99, &tenant, &changed);
            prop_assert!(fits(&view, &changed, &policy), "{}", remedy.flags);
        }
        let refused = explanation.nodes.iter().filter(|node| !node.reasons.is_empty());
        let counted: usize = explanation.counts.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(refused.count(), counted);
    }
}
