//! The greedy packer: one workload, all members or none.
//!
//! Members of a gang are identical, and what one takes of a node does not change what another
//! node takes. So nodes can be filled one after the other, best first, and the packer finds places
//! for a gang exactly when there are some.

use super::{Ask, board::Board, rule};
use crate::{
    packing::{Demand, Room},
    policy::Policy,
    view::{ClusterView, GpuView, NodeView},
};
use dovetail_model::{
    grant::{GpuGrant, Placement},
    id::SliceId,
    resources::GpuAmount,
    units::WHOLE_GPU,
};

/// Greedy placement of all members or none; takes the room when it succeeds, and leaves the board
/// unchanged when not.
pub fn place(board: &mut Board, ask: &Ask<'_>) -> Option<Vec<Placement>> {
    let members = ask.spec.gang_size as usize;
    let class = board.class(ask);
    let mut placements = Vec::with_capacity(members);
    let mut before = Vec::new();
    while placements.len() < members {
        let Some(node) = board.best(class) else {
            board.put_back(before);
            return None;
        };
        if members > 1 {
            before.push(board.copy(node));
        }
        // The whole node first: members on one node talk to each other fastest.
        while placements.len() < members
            && let Some(gpus) = board.gpus(class, node)
        {
            let rank = number(placements.len());
            let placement = member(board, ask, rank, node, gpus);
            board.take_at(node, &placement, ask.tenant);
            placements.push(placement);
        }
    }
    Some(placements)
}

/// Where `place` would put all members; takes no room.
pub fn find(board: &mut Board, ask: &Ask<'_>) -> Option<Vec<Placement>> {
    if ask.spec.gang_size == 1 {
        let class = board.class(ask);
        let node = board.best(class)?;
        let gpus = board.gpus(class, node)?;
        return Some(vec![member(board, ask, 0, node, gpus)]);
    }
    board.begin_trial();
    let placements = place(board, ask);
    board.end_trial();
    placements
}

fn member(board: &Board, ask: &Ask<'_>, rank: u32, node: usize, gpus: Vec<usize>) -> Placement {
    let view = &board.view().nodes[node];
    let grants = gpus.into_iter().map(|gpu| grant(&view.gpus[gpu], ask));
    placement(view, ask, rank, grants.collect())
}

/// Whether all members fit in this view, by the rules alone.
pub fn fits(view: &ClusterView, ask: &Ask<'_>, policy: &Policy) -> bool {
    let mut missing = ask.spec.gang_size;
    view.nodes.iter().any(|node| {
        missing -= members(node, ask, missing, policy);
        missing == 0
    })
}

/// Members that fit in these rooms, up to so many.
pub(crate) fn members_in<'r>(
    rooms: impl IntoIterator<Item = &'r Room>,
    demand: &Demand,
    most: u32,
) -> u32 {
    let mut fit = 0;
    for room in rooms {
        if fit >= most {
            break;
        }
        fit += room.members(demand, most - fit);
    }
    fit
}

/// Whether all members would fit if every node were empty and in service, as far as one node of
/// each kind stands for all.
pub fn fits_empty(board: &mut Board, ask: &Ask<'_>) -> bool {
    let class = board.class(ask);
    let (demand, empties) = (board.demand_of(class), board.empties());
    let mut kinds = board
        .rooms()
        .iter()
        .map(|room| &empties[room.kind as usize]);
    if ask.spec.gang_size == 1 {
        return kinds.any(|empty| empty.fits(demand));
    }
    members_in(kinds, demand, ask.spec.gang_size) == ask.spec.gang_size
}

/// Members that fit on a node, up to so many.
pub(crate) fn members(node: &NodeView, ask: &Ask<'_>, most: u32, policy: &Policy) -> u32 {
    if rule::refusal(node, ask, policy).is_some() {
        return 0;
    }
    let mut room = node.clone();
    for count in 0..most {
        if rule::refusal(&room, ask, policy).is_some() {
            return count;
        }
        let wanted = match ask.resources().gpu.as_ref().map(|gpu| gpu.amount) {
            Some(GpuAmount::Whole { count }) => count as usize,
            Some(GpuAmount::Share(_)) => 1,
            None => 0,
        };
        let gpus: Vec<usize> = rule::fitting_gpus(&room, ask, policy)
            .take(wanted)
            .collect();
        let grants = gpus.into_iter().map(|gpu| grant(&room.gpus[gpu], ask));
        let placement = placement(&room, ask, count, grants.collect());
        room.take(&placement, ask.tenant);
    }
    most
}

/// The placement of one member with these GPUs.
pub(super) fn placement(
    node: &NodeView,
    ask: &Ask<'_>,
    rank: u32,
    gpus: Vec<GpuGrant>,
) -> Placement {
    Placement {
        slice: SliceId {
            workload: ask.workload,
            attempt: ask.attempt,
            member: rank,
        },
        node: node.name.clone(),
        cpu: ask.resources().cpu,
        memory: ask.resources().memory,
        gpus,
    }
}

/// What a member takes of a GPU.
pub(super) fn grant(gpu: &GpuView, ask: &Ask<'_>) -> GpuGrant {
    let request = ask.resources().gpu.as_ref();
    let (compute, memory) = match request.map(|request| request.amount) {
        Some(GpuAmount::Share(share)) => share.on(gpu.memory_total),
        Some(GpuAmount::Whole { .. }) | None => (WHOLE_GPU, gpu.memory_total),
    };
    GpuGrant {
        uuid: gpu.uuid.clone(),
        index: gpu.index,
        compute,
        memory,
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
