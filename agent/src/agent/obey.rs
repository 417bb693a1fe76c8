//! Which desired states are obeyed, and what is taken from them.

use super::{Agent, Effect, SpoolWrite};
use dovetail_model::{grant::GrantSet, id::ClusterId, node::SLICES_MAX, time::Now};

impl Agent {
    /// Takes a desired state, unless it is another cluster's or older than the newest obeyed.
    pub(super) fn obey(&mut self, set: GrantSet, now: Now) {
        if self.is_foreign(&set.cluster) {
            return self.refuse_cluster(&set.cluster);
        }
        let newest = self.highest.as_ref().map(|(_, epoch)| *epoch);
        let older = newest.is_some_and(|newest| set.epoch < newest);
        if older && cfg!(not(feature = "bug_no_revision_check")) {
            return;
        }
        if set.grants.len() > SLICES_MAX {
            let (count, epoch) = (set.grants.len(), set.epoch.revision);
            let why =
                format!("desired state {epoch} not obeyed: {count} grants, at most {SLICES_MAX}");
            return self.effects.push(Effect::Alert(why));
        }
        if newest != Some(set.epoch) {
            let write = SpoolWrite::Highest(set.cluster.clone(), set.epoch);
            self.effects.push(Effect::Spool(write));
            self.highest = Some((set.cluster.clone(), set.epoch));
            self.unreported = true;
        }
        self.take(set, now);
    }

    fn take(&mut self, set: GrantSet, now: Now) {
        self.changed = true;
        for id in &set.acknowledged_exits {
            if self.exits.remove(id).is_some() {
                let write = SpoolWrite::DropExit(*id);
                self.effects.push(Effect::Spool(write));
                self.unreported = true;
            }
        }
        let granted = set.grants.iter().map(|grant| grant.placement.slice);
        self.named = Some(granted.chain(set.releases.iter().copied()).collect());
        self.wanted.clear();
        for grant in set.grants {
            let id = grant.placement.slice;
            match self.slices.get_mut(&id) {
                Some(slice) => slice.learn(&grant),
                None if self.exits.contains_key(&id) || set.releases.contains(&id) => {}
                None => {
                    self.wanted.insert(id, grant);
                }
            }
        }
        for id in &set.releases {
            if let Some(slice) = self.slices.get_mut(id) {
                self.effects.extend(slice.release(now));
                self.unreported = true;
            }
        }
    }

    /// Keeps everything, does nothing, and tells the operator once.
    pub(super) fn refuse_cluster(&mut self, other: &ClusterId) {
        if self.alerted.as_ref() == Some(other) {
            return;
        }
        self.alerted = Some(other.clone());
        let own = self.cluster().cloned().unwrap_or_default();
        let why = format!(
            "the scheduler is of cluster {other}, this node obeys cluster {own}: everything is \
             kept and nothing obeyed; to move the node, stop its slices, then remove the agent's \
             state and run directories"
        );
        self.effects.push(Effect::Alert(why));
    }

    /// Whether this is another cluster than the one obeyed so far.
    pub(super) fn is_foreign(&self, cluster: &ClusterId) -> bool {
        self.cluster().is_some_and(|own| own != cluster)
    }
}
