//! From columns' values back to assignments.

use super::{
    highs::Values,
    model::{Column, Model, take},
};
use dovetail_core::problem::exact::{Assignment, Exact, Item, Place, Slot};
use std::collections::BTreeMap;

/// Items that are placed, with the slots of all their members. None if the values make no sense.
pub(crate) fn assignments(
    problem: &Exact,
    model: &Model,
    values: &Values,
) -> Option<Vec<Assignment>> {
    let counts = Counts { model, values };
    let items = problem.items.iter().enumerate();
    let placed = items.filter(|(index, _)| counts.count(Column::Placed(*index)) == 1);
    let assignments = placed.map(|(index, item)| {
        let places = item.places.iter();
        let slots = places.map(|place| slots(&counts, index, item, place));
        let members: Vec<Slot> = slots.collect::<Option<Vec<_>>>()?.concat();
        (members.len() == item.members as usize).then_some(Assignment {
            item: index,
            members,
        })
    });
    let mut assignments: Vec<Assignment> = assignments.collect::<Option<_>>()?;
    for node in 0..problem.nodes.len() {
        line_up(problem, node, &mut assignments);
    }
    Some(assignments)
}

/// Gives out GPUs that are alike from the first on, for the solver picks any of them: people see
/// neighbours together, and another version of the solver gives the same plan.
fn line_up(problem: &Exact, node: usize, assignments: &mut [Assignment]) {
    let mut alike: Vec<Vec<usize>> = Vec::new();
    for gpu in 0..problem.nodes[node].gpus.len() {
        match alike
            .iter_mut()
            .find(|group| are_alike(problem, node, group[0], gpu))
        {
            Some(group) => group.push(gpu),
            None => alike.push(vec![gpu]),
        }
    }
    let mut free: Vec<std::vec::IntoIter<usize>> =
        alike.iter().cloned().map(Vec::into_iter).collect();
    let mut renamed: BTreeMap<usize, usize> = BTreeMap::new();
    let slots = assignments.iter_mut().flat_map(|a| &mut a.members);
    for slot in slots.filter(|slot| slot.node == node) {
        for gpu in &mut slot.gpus {
            let group = alike.iter().position(|group| group.contains(gpu));
            let next = || group.and_then(|group| free[group].next()).unwrap_or(*gpu);
            *gpu = *renamed.entry(*gpu).or_insert_with(next);
        }
        slot.gpus.sort_unstable();
    }
}

/// Whether nothing tells two GPUs of a node apart.
fn are_alike(problem: &Exact, node: usize, one: usize, other: usize) -> bool {
    let gpus = &problem.nodes[node].gpus;
    let amounts = |item: &Item, gpu| take(item, node, gpu).map(|t| (t.compute, t.memory));
    let same = |item: &Item| amounts(item, one) == amounts(item, other);
    gpus[one] == gpus[other] && problem.items.iter().all(same)
}

struct Counts<'a> {
    model: &'a Model,
    values: &'a Values,
}

impl Counts<'_> {
    /// The nearest integer; 0 for a column that is not in the model.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded, and within the column's bounds of at most 1024"
    )]
    fn count(&self, column: Column) -> usize {
        let Some((low, high)) = self.model.columns.get(&column) else {
            return 0;
        };
        let value = self.values.get(&column).copied().unwrap_or(0.0);
        value.clamp(*low, *high).round() as usize
    }
}

/// The slots of an item's members on one node.
fn slots(counts: &Counts<'_>, index: usize, item: &Item, place: &Place) -> Option<Vec<Slot>> {
    let members = counts.count(Column::Members(index, place.node));
    let node = place.node;
    if place.gpus.is_empty() {
        return Some(vec![Slot { node, gpus: vec![] }; members]);
    }
    let on = |gpu| counts.count(Column::On(index, node, gpu));
    let gpus = place
        .gpus
        .iter()
        .flat_map(|take| vec![take.gpu; on(take.gpu)]);
    let gpus: Vec<usize> = gpus.collect();
    let each = (item.whole_gpus as usize).max(1);
    if gpus.len() != members * each {
        return None;
    }
    Some(
        gpus.chunks(each)
            .map(|gpus| Slot {
                node,
                gpus: gpus.to_vec(),
            })
            .collect(),
    )
}
