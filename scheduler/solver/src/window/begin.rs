//! The first columns: a whole packing by greed, so that the first duals mean something.

use super::{
    column::Column,
    dive::Used,
    generate::{Generator, Left},
    master::Answer,
    packing::Packing,
};

/// Contents made at most for the first packing: more hosts differ than any window has.
const CONTENTS_MAX: usize = 20_000;

impl<P: Packing> Generator<'_, P> {
    /// Makes the first columns, by these gains if they are known, and says how often each is used
    /// in the first packing.
    pub(super) fn begin(&mut self, gains: &[f64]) -> Used {
        let known = gains.len() == self.packing.works().len();
        let gains = if known { gains.to_vec() } else { self.sizes() };
        let answer = Answer {
            value: 0.0,
            times: Vec::new(),
            gains,
            rents: vec![0.0; self.packing.hosts().len()],
        };
        let left = self.all();
        if known {
            self.price(&answer, &left);
        }
        self.pack_by_greed(&answer, left)
    }

    /// Where hosts cost something all is to be placed, and so what is large comes first.
    fn sizes(&self) -> Vec<f64> {
        let costly = self.packing.hosts().iter().any(|host| host.cost > 0.0);
        let mut gains: Vec<f64> = self.packing.works().iter().map(|work| work.worth).collect();
        if !costly {
            return gains;
        }
        let kinds = self.packing.dimensions();
        let mut largest = vec![0.0_f64; gains.len()];
        for menu in &self.menus {
            for (work, shares) in menu.works.iter().zip(menu.shares.chunks(kinds)) {
                let size = &mut largest[*work as usize];
                *size = size.max(shares.iter().sum::<f32>().into());
            }
        }
        let sizes = gains.iter_mut().zip(largest);
        sizes.for_each(|(gain, size)| *gain *= size);
        gains
    }

    fn pack_by_greed(&mut self, answer: &Answer, mut left: Left) -> Used {
        let mut made = 0;
        let mut used = vec![0; self.columns.all.len()];
        for host in 0..left.hosts.len() {
            while left.hosts[host] > 0 && made < CONTENTS_MAX && self.clock.is_open() {
                let Some(found) = self.best_of(host, answer, &left) else {
                    break;
                };
                let column = Column::of(self.packing, host, found);
                let times = column.times_within(&left.works).min(left.hosts[host]);
                left.hosts[host] -= times;
                for (work, count) in &column.contents {
                    left.works[*work as usize] -= times * count;
                }
                // What is known already is in the pool; to find its place is not worth it here.
                if self.add(column) {
                    used.push(times);
                }
                made += 1;
            }
        }
        used
    }
}
