//! Changes of which nodes a request may go to: the labels it asks for and the taints it tolerates.

use super::{Change, MODELS_OFFERED, Trial};
use crate::{decide::rule::taints::untolerated, view::NodeView};
use dovetail_model::label::{LabelKey, LabelValue, TOLERATIONS_MAX, Toleration};
use std::collections::BTreeSet;

/// Most changes of each kind that are tried: each costs a look at every node.
const TRIED_MAX: usize = 16;

impl Trial<'_> {
    /// Other labels and further tolerations, each enough alone. A label is dropped only where no
    /// other value of it will do.
    pub(super) fn of_nodes(&self) -> Vec<Change> {
        let mut changes = self.enough(self.other_values());
        let kept = changes.clone();
        let offered = |key: &LabelKey| {
            let is_it = |change: &Change| matches!(change, Change::Label(k, _) if k == key);
            kept.iter().any(is_it)
        };
        let keys = self.ask.spec.node_selector.keys();
        let dropped = keys.filter(|key| !offered(key)).map(dropped);
        changes.extend(self.enough(dropped));
        changes.extend(self.enough(self.missing_tolerations()));
        changes
    }

    /// Everything that keeps it off some node, given up.
    pub(super) fn onto_every_node(&self) -> Vec<Change> {
        let spec = self.ask.spec;
        let taints = self.open().flat_map(|node| untolerated(node, self.ask));
        let tolerations: BTreeSet<Toleration> = taints.map(Toleration::of).collect();
        let free = TOLERATIONS_MAX.saturating_sub(spec.tolerations.len());
        let tolerated = tolerations.into_iter().take(free).map(Change::Toleration);
        let dropped = spec.node_selector.keys().map(dropped);
        dropped.chain(tolerated).collect()
    }

    fn enough(&self, changes: impl IntoIterator<Item = Change>) -> Vec<Change> {
        let tried = changes.into_iter().take(TRIED_MAX);
        tried
            .filter(|change| self.fits(std::slice::from_ref(change)))
            .take(MODELS_OFFERED)
            .collect()
    }

    /// Values of a label on the nodes that lack nothing but this one.
    fn other_values(&self) -> Vec<Change> {
        let values: BTreeSet<(&LabelKey, &LabelValue)> = self
            .open()
            .filter_map(|node| self.one_label(node))
            .collect();
        values
            .into_iter()
            .map(|(key, value)| Change::Label(key.clone(), Some(value.clone())))
            .collect()
    }

    /// The node's own value of the only label that it does not have as asked.
    fn one_label<'n>(&self, node: &'n NodeView) -> Option<(&'n LabelKey, &'n LabelValue)> {
        let asked = self.ask.spec.node_selector.iter();
        let mut others = asked.filter(|(key, value)| node.labels.get(*key) != Some(*value));
        let (key, _) = others.next()?;
        let only = others.next().is_none();
        node.labels.get_key_value(key).filter(|_| only)
    }

    /// Tolerations of the only taint that keeps it off a node.
    fn missing_tolerations(&self) -> Vec<Change> {
        let one = |node| {
            let mut taints = untolerated(node, self.ask);
            let taint = taints.next()?;
            taints.next().is_none().then(|| Toleration::of(taint))
        };
        let has_room = self.ask.spec.tolerations.len() < TOLERATIONS_MAX;
        let nodes = self.open().filter(|_| has_room);
        let tolerations: BTreeSet<Toleration> = nodes.filter_map(one).collect();
        tolerations.into_iter().map(Change::Toleration).collect()
    }

    fn open(&self) -> impl Iterator<Item = &NodeView> {
        self.view.nodes.iter().filter(|node| node.closed.is_none())
    }
}

fn dropped(key: &LabelKey) -> Change {
    Change::Label(key.clone(), None)
}
