//! Classes that are nearly equal, put together where there are too many to search among: each
//! group takes what its largest member takes, so that whatever is found for it fits.

use dovetail_core::{
    packing::{Demand, Gpus},
    problem::window::{Class, Put},
};
use std::collections::BTreeMap;

/// Amounts are told apart by so many leading bits at most: more are no rounding to speak of.
const BITS_MAX: u32 = 10;

/// Classes of one tier in groups.
#[derive(Debug)]
pub(super) struct Groups {
    /// As if a group were a class.
    pub(super) classes: Vec<Class>,
    /// By group: its classes, the most worthy first, and how many of each wait.
    members: Vec<Vec<(usize, u32)>>,
    /// Whether some group has several members.
    pub(super) is_coarse: bool,
}

/// What must be equal in a group: tenant, GPUs, kinds of nodes, and leading bits of all amounts.
type Key<'a> = (u32, Gpus, &'a [bool], Vec<Option<u64>>);

impl Groups {
    /// Of these classes, with how many of each wait: no more groups than this if rounding to a
    /// power of two can do that.
    pub(super) fn of(classes: &[Class], waiting: &[(usize, u32)], limit: usize) -> Self {
        if waiting.len() <= limit {
            let alone = waiting.iter().map(|one| vec![*one]);
            return Self::new(classes, alone.collect());
        }
        let mut members = Vec::new();
        for bits in (0..=BITS_MAX).rev() {
            members = grouped(classes, waiting, bits);
            if members.len() <= limit {
                break;
            }
        }
        Self::new(classes, members)
    }

    fn new(classes: &[Class], mut members: Vec<Vec<(usize, u32)>>) -> Self {
        for group in &mut members {
            group.sort_by_key(|(class, _)| (std::cmp::Reverse(classes[*class].worth), *class));
        }
        Self {
            classes: members.iter().map(|group| whole(classes, group)).collect(),
            is_coarse: members.iter().any(|group| group.len() > 1),
            members,
        }
    }

    /// The members as they are, with what waits of each.
    pub(super) fn apart(&self, classes: &[Class]) -> Vec<Class> {
        let one = |(class, count): &(usize, u32)| Class {
            count: *count,
            ..classes[*class].clone()
        };
        self.members.iter().flatten().map(one).collect()
    }

    /// The group of each class, by class; none for those that are in none.
    pub(super) fn by_class(&self, classes: usize) -> Vec<Option<u32>> {
        let mut groups = vec![None; classes];
        for (group, members) in (0..).zip(&self.members) {
            members
                .iter()
                .for_each(|(class, _)| groups[*class] = Some(group));
        }
        groups
    }

    /// Puts of groups as puts of their members, the most worthy first.
    pub(super) fn spread(&self, mut puts: Vec<Put>) -> Vec<Put> {
        let members = self.members.iter().map(|group| group.iter().copied());
        let mut next: Vec<_> = members
            .map(|group| group.flat_map(|(class, count)| (0..count).map(move |_| class)))
            .collect();
        puts.retain_mut(|put| match next[put.class].next() {
            Some(class) => {
                put.class = class;
                true
            }
            None => false,
        });
        puts
    }
}

fn grouped(classes: &[Class], waiting: &[(usize, u32)], bits: u32) -> Vec<Vec<(usize, u32)>> {
    let mut groups: BTreeMap<Key<'_>, Vec<(usize, u32)>> = BTreeMap::new();
    for one in waiting {
        let key = key(&classes[one.0].demand, bits);
        groups.entry(key).or_default().push(*one);
    }
    groups.into_values().collect()
}

fn key(demand: &Demand, bits: u32) -> Key<'_> {
    let own = [demand.cpu.0, demand.memory.0].map(Some);
    let takes = demand.takes.iter().flat_map(|take| match take {
        Some(take) => [Some(take.compute.0), Some(take.memory.0)],
        None => [None, None],
    });
    let amounts = own.into_iter().chain(takes);
    let amounts = amounts.map(|amount| amount.map(|amount| rounded(amount, bits)));
    let kinds = demand.kinds.as_slice();
    (demand.tenant, demand.gpus, kinds, amounts.collect())
}

/// Up, to so many bits after the first.
fn rounded(amount: u64, bits: u32) -> u64 {
    let order = amount.checked_ilog2().unwrap_or(0);
    let step = 1_u64 << order.saturating_sub(bits);
    amount.checked_next_multiple_of(step).unwrap_or(amount)
}

/// A group as one class: the most that any of them takes, and what they are worth on average.
fn whole(classes: &[Class], group: &[(usize, u32)]) -> Class {
    let mut all = classes[group[0].0].clone();
    let (mut count, mut worth) = (0_u32, 0_u128);
    for (class, waiting) in group {
        let one = &classes[*class];
        largest(&mut all.demand, &one.demand);
        count = count.saturating_add(*waiting);
        worth += u128::from(*waiting) * u128::from(one.worth);
    }
    all.count = count;
    all.worth = u64::try_from(worth / u128::from(count.max(1))).unwrap_or(u64::MAX);
    all
}

fn largest(all: &mut Demand, one: &Demand) {
    all.cpu = all.cpu.max(one.cpu);
    all.memory = all.memory.max(one.memory);
    for (all, one) in all
        .takes
        .iter_mut()
        .flatten()
        .zip(one.takes.iter().flatten())
    {
        all.compute = all.compute.max(one.compute);
        all.memory = all.memory.max(one.memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_core::packing::Take;
    use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
    use proptest::prelude::*;

    fn class(tenant: u32, (cpu, compute, worth): (u64, u64, u64)) -> Class {
        let take = Take {
            compute: GpuMilli(compute),
            memory: Bytes(compute),
        };
        Class {
            demand: Demand {
                cpu: CpuMilli(cpu),
                memory: Bytes(cpu),
                tenant,
                gpus: Gpus::Share,
                takes: vec![None, Some(take)],
                kinds: vec![true],
            },
            count: 9,
            priority: 0,
            worth,
        }
    }

    fn covers(all: &Demand, one: &Demand) -> bool {
        let take = |all: &Take, one: &Take| all.compute >= one.compute && all.memory >= one.memory;
        all.cpu >= one.cpu
            && all.memory >= one.memory
            && (all.tenant, all.gpus, &all.kinds) == (one.tenant, one.gpus, &one.kinds)
            && all.takes.iter().zip(&one.takes).all(|pair| match pair {
                (Some(all), Some(one)) => take(all, one),
                (all, one) => all.is_none() && one.is_none(),
            })
    }

    fn put(class: usize) -> Put {
        Put {
            class,
            node: 0,
            gpus: vec![1],
        }
    }

    proptest! {
        #[test]
        fn a_group_covers_each_member_and_all_that_wait_are_in_one(
            amounts in proptest::collection::vec((1..5000_u64, 1..1000_u64, 0..99_u64), 1..40),
            counts in proptest::collection::vec(1..5_u32, 40),
            limit in 1..50_usize,
        ) {
            let classes: Vec<Class> =
                (0..).zip(amounts).map(|(at, amounts)| class(at % 2, amounts)).collect();
            let waiting: Vec<(usize, u32)> = (0..classes.len()).zip(counts).collect();
            let groups = Groups::of(&classes, &waiting, limit);
            for (class, group) in classes.iter().zip(groups.by_class(classes.len())) {
                let group = &groups.classes[group.unwrap() as usize];
                prop_assert!(covers(&group.demand, &class.demand));
            }
            let all = |waiting: &[(usize, u32)]| waiting.iter().map(|(_, n)| n).sum::<u32>();
            prop_assert_eq!(groups.classes.iter().map(|group| group.count).sum::<u32>(), all(&waiting));
            prop_assert_eq!(groups.is_coarse, groups.classes.len() < classes.len());
            prop_assert!(limit < classes.len() || !groups.is_coarse);
        }
    }

    #[test]
    fn no_more_is_rounded_than_the_limit_needs() {
        let sizes = [1000, 1001, 1400, 1900];
        let classes = sizes.map(|cpu| class(0, (cpu, 500, 1)));
        let waiting = [(0, 1), (1, 1), (2, 1), (3, 1)];
        let groups = |limit| {
            let groups = Groups::of(&classes, &waiting, limit);
            let cpus = groups.classes.iter().map(|group| group.demand.cpu.0);
            cpus.collect::<Vec<_>>()
        };
        assert_eq!(groups(4), sizes);
        assert_eq!(groups(3), [1001, 1400, 1900]);
        assert_eq!(groups(1), [1001, 1900], "as few as powers of two allow");
    }

    #[test]
    fn the_most_worthy_members_go_first_and_none_goes_twice() {
        let classes = [(1000, 500, 3), (1001, 500, 9)].map(|amounts| class(0, amounts));
        let groups = Groups::of(&classes, &[(0, 1), (1, 2)], 1);
        assert_eq!((groups.classes[0].count, groups.classes[0].worth), (3, 7));
        let puts = groups.spread(vec![put(0); 5]);
        assert_eq!(puts, [put(1), put(1), put(0)]);
    }
}
