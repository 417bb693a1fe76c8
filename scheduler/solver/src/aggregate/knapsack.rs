//! The best filling of one GPU by slices that have prices: exact, in integers.

/// Compute of a whole GPU; no slice and no room is larger.
pub(crate) const COMPUTE_MAX: usize = 1000;

/// Steps of the search in two dimensions. Beyond it a looser bound is given: real
/// mixes have a few dozen different slices of a GPU, and take a few hundred steps.
const STEPS_MAX: u32 = 50_000;

/// What a slice takes and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) compute: u64,
    pub(crate) memory: u64,
    pub(crate) price: u64,
}

/// How many of each item, and an upper bound of what any filling is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filling {
    pub(crate) counts: Vec<u32>,
    /// What `counts` is worth, or more if the search was cut short.
    pub(crate) bound: u64,
}

/// The best filling of this room.
pub(crate) fn best(items: &[Item], compute: u64, memory: u64) -> Filling {
    if memory_is_free(items, compute, memory) {
        filling(&table(items), items, compute)
    } else {
        search(items, compute, memory)
    }
}

/// By compute from 0 to `COMPUTE_MAX`: the most that items are worth in it if memory is ignored,
/// and the item that comes last, if any does.
pub(crate) fn table(items: &[Item]) -> Vec<(u64, Option<usize>)> {
    // What is worth nothing comes into no filling.
    let sizes: Vec<(usize, usize, u64)> = (items.iter().enumerate())
        .filter(|(_, item)| item.price > 0)
        .filter_map(|(index, item)| Some((index, size_of(item)?, item.price)))
        .collect();
    // Between the sizes that can be reached at all nothing changes.
    let step = sizes.iter().fold(0, |step, (_, size, _)| gcd(*size, step));
    let mut best: Vec<(u64, Option<usize>)> = vec![(0, None); COMPUTE_MAX + 1];
    for room in 1..=COMPUTE_MAX {
        // What fits in less fits in more: an unused thousandth carries no item.
        let mut here = (best[room - 1].0, None);
        if step > 0 && room.is_multiple_of(step) {
            for (index, size, price) in &sizes {
                let Some(rest) = room.checked_sub(*size) else {
                    continue;
                };
                let worth = best[rest].0.saturating_add(*price);
                if worth > here.0 {
                    here = (worth, Some(*index));
                }
            }
        }
        best[room] = here;
    }
    best
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn size_of(item: &Item) -> Option<usize> {
    usize::try_from(item.compute)
        .ok()
        .filter(|size| (1..=COMPUTE_MAX).contains(size))
}

/// The filling that a table stands for.
pub(crate) fn filling(table: &[(u64, Option<usize>)], items: &[Item], compute: u64) -> Filling {
    let mut room = usize::try_from(compute).map_or(COMPUTE_MAX, |room| room.min(COMPUTE_MAX));
    let (mut counts, bound) = (vec![0; items.len()], table[room].0);
    while room > 0 {
        match table[room].1 {
            Some(index) => {
                counts[index] += 1;
                room -= size_of(&items[index]).expect("only items with a size are in a table");
            }
            None => room -= 1,
        }
    }
    Filling { counts, bound }
}

/// Whether memory can never run out before compute does, whatever is chosen.
fn memory_is_free(items: &[Item], compute: u64, memory: u64) -> bool {
    let (compute, memory) = (u128::from(compute), u128::from(memory));
    let cheap = |item: &Item| {
        let fair = u128::from(item.memory) * compute <= u128::from(item.compute) * memory;
        item.price == 0 || (fair && item.compute > 0)
    };
    items.iter().all(cheap)
}

/// The best filling of this room in both dimensions.
fn search(items: &[Item], compute: u64, memory: u64) -> Filling {
    let fits = |i: &usize| {
        let item = &items[*i];
        item.price > 0
            && item.compute <= compute
            && item.memory <= memory
            && (item.compute > 0 || item.memory > 0)
    };
    let mut order: Vec<usize> = (0..items.len()).filter(fits).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(density(&items[*i], compute, memory)), *i));
    let mut search = Search {
        items,
        order,
        counts: vec![0; items.len()],
        best: Filling {
            counts: vec![0; items.len()],
            bound: 0,
        },
        steps: 0,
    };
    let above = search.above(0, compute, memory);
    search.go(0, compute, memory, 0);
    if search.steps >= STEPS_MAX {
        search.best.bound = above;
    }
    search.best
}

/// Price by the larger part that is taken of the room, in millionths.
fn density(item: &Item, compute: u64, memory: u64) -> u128 {
    let part = |of: u64, all: u64| u128::from(of) * 1_000_000 / u128::from(all.max(1));
    let taken = part(item.compute, compute).max(part(item.memory, memory));
    u128::from(item.price) * 1_000_000 / taken.max(1)
}

struct Search<'a> {
    items: &'a [Item],
    order: Vec<usize>,
    counts: Vec<u32>,
    best: Filling,
    steps: u32,
}

impl Search<'_> {
    fn go(&mut self, from: usize, compute: u64, memory: u64, worth: u64) {
        self.steps += 1;
        if worth > self.best.bound {
            self.best.bound = worth;
            self.best.counts.clone_from(&self.counts);
        }
        if self.steps >= STEPS_MAX || from == self.order.len() {
            return;
        }
        if worth.saturating_add(self.above(from, compute, memory)) <= self.best.bound {
            return;
        }
        let index = self.order[from];
        let item = self.items[index];
        let most = times(compute, item.compute).min(times(memory, item.memory));
        for count in (0..=most).rev() {
            self.counts[index] = u32::try_from(count).unwrap_or(u32::MAX);
            let (taken, used) = (item.compute * count, item.memory * count);
            let gained = item.price.saturating_mul(count);
            let worth = worth.saturating_add(gained);
            self.go(from + 1, compute - taken, memory - used, worth);
            if self.steps >= STEPS_MAX {
                break;
            }
        }
        self.counts[index] = 0;
    }

    /// No filling by what comes from here on is worth more: each dimension alone, cut freely.
    fn above(&self, from: usize, compute: u64, memory: u64) -> u64 {
        let rest = || self.order[from..].iter().map(|i| &self.items[*i]);
        let by_compute = free(rest().map(|item| (item.price, item.compute)), compute);
        let by_memory = free(rest().map(|item| (item.price, item.memory)), memory);
        by_compute.min(by_memory)
    }
}

fn times(room: u64, each: u64) -> u64 {
    room.checked_div(each).unwrap_or(u64::MAX)
}

/// The most that may be had of a room if items of (price, size) are cut freely, rounded up.
fn free(items: impl Iterator<Item = (u64, u64)>, room: u64) -> u64 {
    let most = items.map(|(price, size)| {
        if size == 0 && price > 0 {
            return u128::MAX;
        }
        (u128::from(price) * u128::from(room)).div_ceil(u128::from(size.max(1)))
    });
    u64::try_from(most.max().unwrap_or(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every filling there is.
    fn brute(items: &[Item], compute: u64, memory: u64) -> u64 {
        let Some((first, rest)) = items.split_first() else {
            return 0;
        };
        let mut best = brute(rest, compute, memory);
        if first.compute <= compute && first.memory <= memory {
            let (compute, memory) = (compute - first.compute, memory - first.memory);
            best = best.max(first.price + brute(items, compute, memory));
        }
        best
    }

    fn items() -> impl Strategy<Value = Vec<Item>> {
        let item = (100..700_u64, 0..40_u64, 0..1000_u64);
        let item = item.prop_map(|(compute, memory, price)| Item {
            compute,
            memory,
            price,
        });
        proptest::collection::vec(item, 0..5)
    }

    fn worth(items: &[Item], filling: &Filling) -> u64 {
        let counts = filling.counts.iter();
        counts
            .zip(items)
            .map(|(n, i)| u64::from(*n) * i.price)
            .sum()
    }

    proptest! {
        #[test]
        fn a_table_is_as_good_as_every_filling(items in items(), compute in 0..=1000_u64) {
            let found = filling(&table(&items), &items, compute);
            prop_assert_eq!(found.bound, brute(&items, compute, 1_000_000));
            prop_assert_eq!(worth(&items, &found), found.bound);
        }

        #[test]
        fn a_search_is_as_good_as_every_filling(
            items in items(), compute in 0..=1000_u64, memory in 0..100_u64,
        ) {
            let found = search(&items, compute, memory);
            prop_assert_eq!(found.bound, brute(&items, compute, memory));
            prop_assert_eq!(worth(&items, &found), found.bound);
            if memory_is_free(&items, compute, memory) {
                prop_assert_eq!(table(&items)[usize::try_from(compute).unwrap()].0, found.bound);
            }
        }
    }
}
