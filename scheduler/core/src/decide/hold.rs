//! What the solver should look at: greedy choices of this round that left a workload stranded.
//!
//! Batch work may wait a moment for a better packing. If a waiting workload would have fitted
//! before this round's batch work was placed, that batch work and the stranded workload become a
//! small exact problem over few nodes, with the greedy answer as its start.

use super::{
    Ask, Board, pack,
    round::{Draft, Drafted, Waiting, class},
    rule,
    window::Names,
};
use crate::{
    plan::{Plan, Step},
    policy::Policy,
    problem::{
        Problem, Task,
        exact::{
            Assignment, Exact, Gpu, GpuTake, INTEGERS_MAX, Item, NODES_MAX, Node, Place, Slot,
        },
    },
    view::{ClusterView, GpuView, NodeView},
};
use dovetail_model::{
    grant::Placement,
    id::{Revision, Tenant, WorkloadId},
    resources::{GpuAmount, GpuShare},
    units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU},
    workload::WorkloadKind,
};
use std::collections::{BTreeMap, BTreeSet};

/// Most different requests that are looked at as the stranded one: each costs a look at every node.
const STRANDED_MAX: usize = 16;
/// Most further waiting workloads that are looked at: the model has no room for more.
const FURTHER_MAX: usize = 64;

/// Work that waits for the solver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What to solve.
    pub problem: Problem,
    /// Who waits for the answer.
    pub workloads: Vec<WorkloadId>,
    /// To commit if no outcome comes.
    pub greedy: Plan,
    /// What the numbers of a window stand for; nothing for other problems.
    pub names: Option<Names>,
}

/// Integer columns that an item takes in the exact model, at most: whether it is placed, how many
/// members each node gets, and how many each GPU.
pub(super) fn integers(item: &Item) -> usize {
    let place = |place: &Place| 1 + place.gpus.len();
    1 + item.places.iter().map(place).sum::<usize>()
}

pub(super) fn hold(draft: &Draft<'_, '_>, revision: Revision, id: u64) -> Option<Held> {
    let mut search = Search::new(draft)?;
    let mut seen = BTreeSet::new();
    let classes = draft.waiting.iter().filter(|w| seen.insert(class(&w.ask)));
    let selection = classes
        .take(STRANDED_MAX)
        .find_map(|waiting| search.select(waiting))?;
    Some(selection.into_held(draft.board.policy(), revision, id))
}

/// Looks for a problem worth solving.
struct Search<'s, 'a> {
    draft: &'s Draft<'s, 'a>,
    /// Room before this round's batch work was placed.
    base: Board,
    batch: Vec<&'s Drafted<'a>>,
}

impl<'s, 'a> Search<'s, 'a> {
    fn new(draft: &'s Draft<'s, 'a>) -> Option<Self> {
        let (batch, others): (Vec<_>, Vec<_>) = draft.placed.iter().partition(|d| is_batch(&d.ask));
        if batch.is_empty() || draft.waiting.is_empty() {
            return None;
        }
        let mut base = draft.board.clone();
        base.end_trial();
        for drafted in others {
            for placement in &drafted.placements {
                let taken = base.take(placement, drafted.ask.tenant);
                debug_assert!(taken, "a draft names nodes of its board");
            }
        }
        Some(Self { draft, base, batch })
    }

    /// The largest problem around a stranded workload that the exact model can take.
    fn select(&mut self, stranded: &'s Waiting<'a>) -> Option<Selection<'s, 'a>> {
        self.base.begin_trial();
        let placements = pack::place(&mut self.base, &stranded.ask);
        self.base.end_trial();
        let placements = placements?;
        let home = self.nodes_of(&placements);
        if home.len() > NODES_MAX {
            return None;
        }
        let nodes = self.by_relevance(&home, stranded);
        let most = nodes.len().min(NODES_MAX);
        let mut sizes = (home.len()..=most).rev();
        sizes.find_map(|size| self.within(&nodes[..size], &home, stranded))
    }

    fn nodes_of(&self, placements: &[Placement]) -> BTreeSet<usize> {
        let index = |p: &Placement| self.base.view().index_of(&p.node);
        placements.iter().filter_map(index).collect()
    }

    /// Nodes where the stranded workload would go, then those of the batch work that is in its
    /// way there, then others that would take it or that batch work, best first.
    fn by_relevance(&mut self, home: &BTreeSet<usize>, stranded: &Waiting<'_>) -> Vec<usize> {
        let would_take = self.base.candidates(&stranded.ask);
        let taken = self.batch.iter().map(|d| self.nodes_of(&d.placements));
        let in_the_way = taken.filter(|nodes| !nodes.is_disjoint(home)).flatten();
        let in_the_way: Vec<usize> = in_the_way.collect();
        let mut batch = self.batch.iter();
        let first = batch.find(|d| !self.nodes_of(&d.placements).is_disjoint(home));
        let elsewhere = first.map(|d| self.base.candidates(&d.ask));
        let mut seen = BTreeSet::new();
        let all = home.iter().copied().chain(in_the_way);
        all.chain(would_take)
            .chain(elsewhere.into_iter().flatten())
            .filter(|index| seen.insert(*index))
            .collect()
    }

    fn within(
        &self,
        nodes: &[usize],
        home: &BTreeSet<usize>,
        stranded: &'s Waiting<'a>,
    ) -> Option<Selection<'s, 'a>> {
        let base = ClusterView::of(nodes.iter().map(|i| self.base.view().nodes[*i].clone()));
        // More room than the problem will have, so that no item can cost more than reckoned.
        let mut budget = Budget {
            room: &base,
            policy: self.draft.board.policy(),
            left: INTEGERS_MAX,
        };
        if !budget.pays(&stranded.ask) {
            return None;
        }
        let held = self.held_within(nodes, home, &mut budget);
        if held.is_empty() {
            return None;
        }
        let room = self.room_without(&held, base.clone());
        // Without the held work there must be room for the stranded: else nothing is to be gained.
        if !pack::fits(&room, &stranded.ask, self.draft.board.policy()) {
            return None;
        }
        let together = held.iter().map(|drafted| drafted.ask);
        if !room_for_all(&room, together.chain([stranded.ask])) {
            return None;
        }
        let waiting = self.waiting_within(&room, stranded, &mut budget);
        Some(Selection::new(room, held, waiting))
    }

    /// Batch work that lies entirely on these nodes, what is in the way of the stranded first.
    fn held_within(
        &self,
        nodes: &[usize],
        home: &BTreeSet<usize>,
        budget: &mut Budget<'_>,
    ) -> Vec<&'s Drafted<'a>> {
        let mut inside: Vec<(bool, &Drafted<'a>)> = Vec::new();
        for drafted in self.batch.iter().copied() {
            let places = self.nodes_of(&drafted.placements);
            if places.iter().all(|index| nodes.contains(index)) {
                inside.push((places.is_disjoint(home), drafted));
            }
        }
        inside.sort_by_key(|(elsewhere, drafted)| (*elsewhere, drafted.position));
        let inside = inside.into_iter().map(|(_, drafted)| drafted);
        inside.filter(|drafted| budget.pays(&drafted.ask)).collect()
    }

    /// The stranded workload, and other waiting batch work that might fit beside it.
    fn waiting_within(
        &self,
        room: &ClusterView,
        stranded: &'s Waiting<'a>,
        budget: &mut Budget<'_>,
    ) -> Vec<&'s Waiting<'a>> {
        let policy = self.draft.board.policy();
        let others = self.draft.waiting.iter();
        let others = others.filter(|w| w.position != stranded.position && is_batch(&w.ask));
        let affordable = others
            .take(FURTHER_MAX)
            .filter(|w| pack::fits(room, &w.ask, policy))
            .filter(|w| budget.pays(&w.ask));
        std::iter::once(stranded).chain(affordable).collect()
    }

    /// Room on the nodes after everything in the draft but the held work.
    fn room_without(&self, held: &[&Drafted<'_>], mut room: ClusterView) -> ClusterView {
        let held: BTreeSet<usize> = held.iter().map(|drafted| drafted.position).collect();
        let kept = self.batch.iter().filter(|d| !held.contains(&d.position));
        for drafted in kept {
            take_all(&mut room, &drafted.placements, drafted.ask.tenant);
        }
        room
    }
}

/// Integer columns that are left.
struct Budget<'b> {
    room: &'b ClusterView,
    policy: &'b Policy,
    left: usize,
}

impl Budget<'_> {
    /// Takes the columns of an item. False, and nothing taken, if too few are left.
    fn pays(&mut self, ask: &Ask<'_>) -> bool {
        let cost = integers(&item(self.room, ask, 0, self.policy));
        let left = self.left.checked_sub(cost);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

/// The nodes and workloads of a problem.
struct Selection<'s, 'a> {
    room: ClusterView,
    held: Vec<&'s Drafted<'a>>,
    /// All in queue order.
    asks: Vec<Ask<'a>>,
}

impl<'s, 'a> Selection<'s, 'a> {
    fn new(
        room: ClusterView,
        mut held: Vec<&'s Drafted<'a>>,
        waiting: Vec<&'s Waiting<'a>>,
    ) -> Self {
        held.sort_by_key(|drafted| drafted.position);
        let placed = held.iter().map(|d| (d.position, d.ask));
        let mut asks: Vec<_> = placed
            .chain(waiting.iter().map(|w| (w.position, w.ask)))
            .collect();
        asks.sort_by_key(|(position, _)| *position);
        Self {
            room,
            held,
            asks: asks.into_iter().map(|(_, ask)| ask).collect(),
        }
    }

    fn into_held(self, policy: &Policy, revision: Revision, id: u64) -> Held {
        let mut tenants = BTreeMap::new();
        let items: Vec<Item> = self
            .asks
            .iter()
            .map(|ask| {
                let tenant = number(&mut tenants, ask.tenant, policy);
                item(&self.room, ask, tenant, policy)
            })
            .collect();
        let start = self.held.iter().filter_map(|d| self.assignment(d));
        let exact = Exact {
            nodes: self.room.nodes.iter().map(problem_node).collect(),
            start: start.collect(),
            items,
        };
        let problem = Problem {
            id,
            revision,
            limits: policy.limits,
            task: Task::Exact(exact),
        };
        let steps = self.held.iter().map(|drafted| Step {
            workload: drafted.ask.workload,
            placements: drafted.placements.clone(),
        });
        let greedy = Plan {
            parent: revision,
            steps: steps.collect(),
        };
        let workloads = self.asks.iter().map(|ask| ask.workload);
        Held {
            problem,
            workloads: workloads.collect(),
            greedy,
            names: None,
        }
    }

    fn assignment(&self, drafted: &Drafted<'_>) -> Option<Assignment> {
        let slot = |placement: &Placement| {
            let node = self.room.index_of(&placement.node)?;
            let gpus = &self.room.nodes[node].gpus;
            let index = |uuid| gpus.iter().position(|gpu| gpu.uuid == uuid);
            let grants = placement.gpus.iter();
            let gpus: Option<Vec<usize>> = grants.map(|g| index(g.uuid.clone())).collect();
            Some(Slot { node, gpus: gpus? })
        };
        let same = |ask: &Ask<'_>| ask.workload == drafted.ask.workload;
        let members: Option<Vec<Slot>> = drafted.placements.iter().map(slot).collect();
        Some(Assignment {
            item: self.asks.iter().position(same)?,
            members: members?,
        })
    }
}

/// Sharers of a GPU must have the same number: one per tenant, or one for all by policy.
fn number<'a>(known: &mut BTreeMap<&'a Tenant, u32>, tenant: &'a Tenant, policy: &Policy) -> u32 {
    if policy.tenants_share_gpus {
        return 0;
    }
    let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
    *known.entry(tenant).or_insert(next)
}

fn item(room: &ClusterView, ask: &Ask<'_>, tenant: u32, policy: &Policy) -> Item {
    let take = |node: &NodeView, gpu: usize| {
        let grant = pack::grant(&node.gpus[gpu], ask);
        let (compute, memory) = (grant.compute, grant.memory);
        GpuTake {
            gpu,
            compute,
            memory,
        }
    };
    let nodes = room.nodes.iter().enumerate();
    let fitting = nodes.filter(|(_, node)| rule::refusal(node, ask, policy).is_none());
    let places = fitting.map(|(index, node)| Place {
        node: index,
        gpus: rule::fitting_gpus(node, ask, policy)
            .map(|gpu| take(node, gpu))
            .collect(),
    });
    let resources = ask.resources();
    Item {
        workload: ask.workload,
        priority: ask.spec.priority,
        members: ask.spec.gang_size,
        tenant,
        cpu: resources.cpu,
        memory: resources.memory,
        whole_gpus: match resources.gpu.as_ref().map(|gpu| gpu.amount) {
            Some(GpuAmount::Whole { count }) => count,
            Some(GpuAmount::Share(_)) | None => 0,
        },
        places: places.collect(),
    }
}

fn problem_node(node: &NodeView) -> Node {
    let gpu = |gpu: &GpuView| Gpu {
        compute: gpu.compute_free,
        memory: gpu.memory_free,
        empty: gpu.is_empty(),
    };
    Node {
        name: node.name.clone(),
        cpu: node.cpu_free,
        memory: node.memory_free,
        slices: NodeView::SLICES_LIMIT.saturating_sub(node.slices),
        gpus: node.gpus.iter().map(gpu).collect(),
    }
}

/// Whether CPU, memory and compute would do for everybody if they could be cut freely. The greedy
/// draft went by priority, so the solver would only drop what it placed for a waiter that came
/// later: without room for all there is nothing to gain.
fn room_for_all<'a>(room: &ClusterView, asks: impl Iterator<Item = Ask<'a>>) -> bool {
    let (mut cpu, mut memory, mut compute) = (CpuMilli::ZERO, Bytes::ZERO, GpuMilli::ZERO);
    for ask in asks {
        let members = u64::from(ask.spec.gang_size);
        cpu = cpu.plus(ask.resources().cpu.times(members));
        memory = memory.plus(ask.resources().memory.times(members));
        compute = compute.plus(least_compute(&ask).times(members));
    }
    let gpus = room.nodes.iter().flat_map(|node| &node.gpus);
    cpu <= room.nodes.iter().map(|node| node.cpu_free).sum()
        && memory <= room.nodes.iter().map(|node| node.memory_free).sum()
        && compute <= gpus.map(|gpu| gpu.compute_free).sum()
}

/// What a member takes of GPUs at least; a share by memory alone may take hardly any compute.
fn least_compute(ask: &Ask<'_>) -> GpuMilli {
    match ask.resources().gpu.as_ref().map(|gpu| gpu.amount) {
        Some(GpuAmount::Whole { count }) => WHOLE_GPU.times(count.into()),
        Some(GpuAmount::Share(GpuShare::Compute(compute) | GpuShare::Both(compute, _))) => compute,
        Some(GpuAmount::Share(GpuShare::Memory(_))) | None => GpuMilli::ZERO,
    }
}

pub(super) fn is_batch(ask: &Ask<'_>) -> bool {
    ask.spec.kind == WorkloadKind::Batch
}

fn take_all(view: &mut ClusterView, placements: &[Placement], tenant: &Tenant) {
    for placement in placements {
        // A node outside the view is of no interest to it.
        let _known = view.take(placement, tenant);
    }
}
