//! Vector bin packing: items of some dimensions in equal bins, as few as possible.

use super::packing::{Host, Packing, Slots, Work};

/// Items in classes and bins of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    capacity: Vec<i32>,
    sizes: Vec<Vec<i32>>,
    hosts: Vec<Host>,
    works: Vec<Work>,
}

/// An item that is not placed costs a little more than a bin of its own.
const WORTH: f64 = 1.001;

impl Vectors {
    /// Items with how many there are of each; every one of them must fit in an empty bin.
    pub fn new(capacity: Vec<i32>, items: &[(Vec<i32>, u32)]) -> Self {
        let mut items = items.to_vec();
        items.sort();
        let works = items.iter().map(|(_, count)| Work {
            count: *count,
            worth: WORTH,
        });
        let works: Vec<Work> = works.collect();
        let bins = Host {
            count: works.iter().map(|work| work.count).sum(),
            cost: 1.0,
        };
        Self {
            capacity,
            sizes: items.into_iter().map(|(size, _)| size).collect(),
            hosts: vec![bins],
            works,
        }
    }
}

impl Packing for Vectors {
    type Fill = Vec<i32>;

    fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    fn works(&self) -> &[Work] {
        &self.works
    }

    fn empty(&self, _: usize) -> Vec<i32> {
        self.capacity.clone()
    }

    fn reset(&self, _: usize, fill: &mut Vec<i32>) {
        fill.clone_from(&self.capacity);
    }

    fn add(&self, fill: &mut Vec<i32>, work: usize) -> Option<Slots> {
        let size = &self.sizes[work];
        if fill.iter().zip(size).any(|(free, size)| free < size) {
            return None;
        }
        fill.iter_mut()
            .zip(size)
            .for_each(|(free, size)| *free -= size);
        Some(0)
    }

    fn put(&self, fill: &mut Vec<i32>, work: usize, _: Slots) -> bool {
        self.add(fill, work).is_some()
    }

    fn dimensions(&self) -> usize {
        self.capacity.len()
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "a share orders a search and no more"
    )]
    fn share(&self, _: usize, work: usize, dimension: usize) -> f32 {
        self.sizes[work][dimension] as f32 / self.capacity[dimension].max(1) as f32
    }
}
