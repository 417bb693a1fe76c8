//! One workload on one cluster.

use super::{
    ask,
    clusters::{Submission, asks, cluster, lets_in, queue, submission},
    node, share, spec, tenant, whole,
};
use crate::{
    decide::{Ask, Board, find, fits, fits_empty, place},
    policy::Policy,
    view::{ClusterView, GpuView, NodeView},
};
use dovetail_model::{
    gpu::GpuHealth,
    grant::Placement,
    id::Name,
    resources::{GpuAmount, GpuRequest, Level},
    units::{Bytes, CpuMilli, WHOLE_GPU},
};
use proptest::prelude::*;

fn board<const N: usize>(nodes: [NodeView; N]) -> Board {
    Board::of(ClusterView::of(nodes), Policy::default())
}

fn nodes_of(placements: &[Placement]) -> Vec<&str> {
    placements.iter().map(|p| p.node.as_str()).collect()
}

#[test]
fn a_share_joins_a_gpu_that_is_broken_already() {
    let tenant = tenant("a");
    let mut spec = spec("w");
    let mut board = board([node("n1", 4), node("n2", 4)]);
    spec.resources.gpu = Some(share(300));
    let mut places = Vec::new();
    for id in 1..=4 {
        let placed = place(&mut board, &ask(id, &tenant, &spec)).unwrap();
        places.push((placed[0].node.clone(), placed[0].gpus[0].index));
    }
    assert_eq!(places[0], places[1]);
    assert_eq!(places[0], places[2]);
    assert_ne!(places[0], places[3], "the fourth does not fit beside three");
    assert_eq!(places[0].0, places[3].0, "and spares the empty node");
}

#[test]
fn work_without_a_gpu_keeps_off_nodes_with_empty_ones() {
    let (tenant, spec) = (tenant("a"), spec("w"));
    let mut board = board([node("gpus", 8), node("plain", 0)]);
    let placed = place(&mut board, &ask(1, &tenant, &spec));
    assert_eq!(nodes_of(&placed.unwrap()), ["plain"]);
}

#[test]
fn whole_gpus_are_taken_where_fewest_stay_empty() {
    let (tenant, mut spec) = (tenant("a"), spec("w"));
    let mut board = board([node("big", 8), node("small", 4)]);
    spec.resources.gpu = Some(whole(3));
    let placed = place(&mut board, &ask(1, &tenant, &spec));
    assert_eq!(nodes_of(&placed.unwrap()), ["small"]);
}

#[test]
fn members_of_a_gang_may_share_a_node() {
    let (tenant, mut spec) = (tenant("a"), spec("w"));
    let mut board = board([node("n1", 8), node("n2", 8)]);
    spec.gang_size = 3;
    spec.resources.gpu = Some(whole(4));
    let placed = place(&mut board, &ask(1, &tenant, &spec)).unwrap();
    let nodes = nodes_of(&placed);
    assert_eq!(nodes[0], nodes[1]);
    assert_ne!(nodes[0], nodes[2]);
    let before = board.view().clone();
    assert_eq!(place(&mut board, &ask(2, &tenant, &spec)), None);
    assert_eq!(*board.view(), before, "a failure takes no room");
}

/// Whether so many members fit, by trying every node and every choice of GPUs for each.
fn fits_somehow(view: &ClusterView, ask: &Ask<'_>, members: u32) -> bool {
    if members == 0 {
        return true;
    }
    (0..view.nodes.len()).any(|index| {
        choices(&view.nodes[index], ask).into_iter().any(|next| {
            let mut view = view.clone();
            view.nodes[index] = next;
            fits_somehow(&view, ask, members - 1)
        })
    })
}

/// The node after one more member, for every choice of its GPUs. Written anew, without the rules.
fn choices(node: &NodeView, ask: &Ask<'_>) -> Vec<NodeView> {
    let wants = ask.resources();
    let (Some(cpu), Some(memory)) = (
        node.cpu_free.checked_minus(wants.cpu),
        node.memory_free.checked_minus(wants.memory),
    ) else {
        return Vec::new();
    };
    if node.closed.is_some() || node.slices >= 1024 || !lets_in(node, ask) {
        return Vec::new();
    }
    let mut left = node.clone();
    (left.cpu_free, left.memory_free) = (cpu, memory);
    left.slices += 1;
    match &wants.gpu {
        None if wants.minimum_level <= node.level => vec![left],
        None => Vec::new(),
        Some(request) => {
            let count = match request.amount {
                GpuAmount::Whole { count } => count as usize,
                GpuAmount::Share(_) => 1,
            };
            let indices = subsets(node.gpus.len(), count);
            let taken = indices
                .iter()
                .filter_map(|set| with_gpus(&left, set, request, ask));
            taken.collect()
        }
    }
}

fn subsets(of: usize, count: usize) -> Vec<Vec<usize>> {
    (0..1_usize << of)
        .filter(|bits| bits.count_ones() as usize == count)
        .map(|bits| (0..of).filter(|index| bits & (1 << index) != 0).collect())
        .collect()
}

fn with_gpus(
    node: &NodeView,
    set: &[usize],
    request: &GpuRequest,
    ask: &Ask<'_>,
) -> Option<NodeView> {
    let mut node = node.clone();
    for index in set {
        let gpu = &mut node.gpus[*index];
        let matches =
            |model: &dovetail_model::gpu::ModelPattern| model.matches(&gpu.model, &gpu.name);
        let wanted = request.models.is_empty() || request.models.iter().any(matches);
        let (compute, memory, level) = match request.amount {
            GpuAmount::Whole { .. } => (WHOLE_GPU, gpu.memory_total, gpu.whole_level),
            GpuAmount::Share(share) => {
                let (compute, memory) = share.on(gpu.memory_total);
                (compute, memory, gpu.share_level)
            }
        };
        let healthy = gpu.health == GpuHealth::Ok;
        if !wanted || !healthy || level < ask.resources().minimum_level {
            return None;
        }
        gpu.compute_free = gpu.compute_free.checked_minus(compute)?;
        gpu.memory_free = gpu.memory_free.checked_minus(memory)?;
    }
    Some(node)
}

/// The node in service with nothing on it.
fn emptied(node: &NodeView) -> NodeView {
    let gpu = |gpu: &GpuView| GpuView {
        health: GpuHealth::Ok,
        memory_free: gpu.memory_total,
        compute_free: WHOLE_GPU,
        holders: Vec::new(),
        external: Bytes::ZERO,
        ..gpu.clone()
    };
    NodeView {
        closed: None,
        cpu_free: node.cpu_total,
        memory_free: node.memory_total,
        slices: 0,
        gpus: node.gpus.iter().map(gpu).collect(),
        ..node.clone()
    }
}

/// The cluster with other names in another order, each node with the tie it had.
fn renamed(view: &ClusterView) -> ClusterView {
    let count = view.nodes.len();
    let rename = |(index, node): (usize, &NodeView)| NodeView {
        name: Name::new(&format!("z{}", count - index)).unwrap(),
        ..node.clone()
    };
    ClusterView::of(view.nodes.iter().enumerate().map(rename))
}

proptest! {
    #[test]
    fn greedy_finds_places_exactly_when_there_are_some(
        view in cluster(),
        (tenant, mut spec) in submission(),
    ) {
        spec.gang_size = spec.gang_size.min(3);
        let ask = ask(1, &tenant, &spec);
        let policy = Policy::default();
        let somehow = fits_somehow(&view, &ask, spec.gang_size);
        prop_assert_eq!(fits(&view, &ask, &policy), somehow);
        let mut board = Board::of(view, policy);
        prop_assert_eq!(find(&mut board, &ask).is_some(), somehow);
        prop_assert_eq!(place(&mut board, &ask).is_some(), somehow);
    }

    #[test]
    fn what_fits_beside_others_fits_in_an_empty_cluster(view in cluster(), queue in queue()) {
        let policy = Policy::default();
        let mut room = Board::of(view.clone(), policy);
        for ask in asks(&queue) {
            if place(&mut room, &ask).is_some() {
                prop_assert!(fits(&view, &ask, &policy));
            }
        }
    }

    #[test]
    fn what_fits_in_no_empty_cluster_is_known_by_kinds(
        view in cluster(),
        count in 1..4_u32,
        queue in queue(),
        (tenant, spec) in submission(),
    ) {
        // All of one kind, for nodes of a kind may differ a little in memory.
        let copies = (0..count).map(|copy| NodeView {
            name: Name::new(&format!("n{copy}")).unwrap(),
            ..view.nodes[0].clone()
        });
        let policy = Policy::default();
        let mut board = Board::of(ClusterView::of(copies), policy);
        for ask in asks(&queue) {
            place(&mut board, &ask);
        }
        let ask = ask(99, &tenant, &spec);
        let empty = ClusterView::of(board.view().nodes.iter().map(emptied));
        prop_assert_eq!(fits_empty(&mut board, &ask), fits(&empty, &ask, &policy));
    }

    #[test]
    fn names_of_nodes_do_not_matter_beyond_their_fixed_tie(
        view in cluster(),
        queue in queue(),
    ) {
        let policy = Policy::default();
        let mut here = Board::of(view.clone(), policy);
        let mut there = Board::of(renamed(&view), policy);
        let count = view.nodes.len();
        for ask in asks(&queue) {
            let ours = place(&mut here, &ask);
            let theirs = place(&mut there, &ask);
            let index = |p: &Placement| view.index_of(&p.node).unwrap();
            let new_name = |p: &Placement| format!("z{}", count - index(p));
            let expected = ours.map(|ps| ps.iter().map(new_name).collect::<Vec<_>>());
            let found = theirs.map(|ps| ps.iter().map(|p| p.node.to_string()).collect::<Vec<_>>());
            prop_assert_eq!(expected, found);
        }
    }
}

#[test]
fn a_cpu_only_node_without_enforcement_takes_only_those_who_accept_it() {
    let (tenant, mut spec): Submission = (tenant("a"), spec("w"));
    let mut plain = node("n1", 0);
    plain.level = Level::None;
    (plain.cpu_free, plain.memory_free) = (CpuMilli(1000), Bytes(1 << 30));
    let view = ClusterView::of([plain]);
    let policy = Policy::default();
    assert!(!fits(&view, &ask(1, &tenant, &spec), &policy));
    spec.resources.minimum_level = Level::None;
    assert!(fits(&view, &ask(1, &tenant, &spec), &policy));
}
