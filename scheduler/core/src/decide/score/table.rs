//! How much of the typical work a GPU of one device could still take, by free CPU of its node.

use super::state::{Need, WHOLE_ONE};

/// The sum of all weights: a power of two, so that dividing by it is a shift.
pub(super) const WEIGHT_BITS: u32 = 16;

/// One typical class as the GPUs of one device on one kind of node see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Typical {
    pub(super) cpu: u64,
    pub(super) need: Need,
    pub(super) weight: i64,
}

/// Weights of the typical classes that may come here, summed up so that a lookup replaces a loop
/// over them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Table {
    /// CPU that some class asks for, least first.
    cpus: Vec<u64>,
    /// By free room of a GPU: how many needs are met by it.
    bucket: Vec<u8>,
    /// By number of `cpus` that are there.
    rows: Vec<Row>,
}

/// Sums over the classes whose CPU is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    /// By bucket: weight of the classes that want one GPU and find room for it.
    single: Vec<i64>,
    /// By empty GPUs: weight of the classes that want more than one and find them.
    gang: Vec<i64>,
}

impl Table {
    /// A table of these classes.
    pub(super) fn new(typical: &[Typical]) -> Self {
        let mut cpus: Vec<u64> = typical.iter().map(|class| class.cpu).collect();
        cpus.sort_unstable();
        cpus.dedup();
        let mut rooms: Vec<u16> = typical.iter().map(|class| class.need.room).collect();
        rooms.sort_unstable();
        rooms.dedup();
        let reached = |free: u16| rooms.partition_point(|room| *room <= free);
        let bucket = (0..=WHOLE_ONE).map(|free| u8::try_from(reached(free)).unwrap_or(u8::MAX));
        let rows = (0..=cpus.len()).map(|count| {
            let there = |class: &&Typical| count > 0 && class.cpu <= cpus[count - 1];
            Row::new(&rooms, typical.iter().filter(there))
        });
        Self {
            bucket: bucket.collect(),
            rows: rows.collect(),
            cpus,
        }
    }

    /// The sums for this much free CPU.
    pub(super) fn row(&self, cpu: u64) -> &Row {
        &self.rows[self.cpus.partition_point(|least| *least <= cpu)]
    }

    /// The number of needs that this much room meets.
    pub(super) fn bucket(&self, room: u16) -> usize {
        self.bucket[usize::from(room.min(WHOLE_ONE))].into()
    }
}

impl Row {
    fn new<'a>(rooms: &[u16], there: impl Iterator<Item = &'a Typical>) -> Self {
        let there: Vec<&Typical> = there.collect();
        let weight = |wanted: &dyn Fn(Need) -> bool| -> i64 {
            let all = there.iter().filter(|class| wanted(class.need));
            all.map(|class| class.weight).sum()
        };
        let single = (0..=rooms.len())
            .map(|bucket| weight(&|need| need.gpus == 1 && rooms[..bucket].contains(&need.room)));
        let most = there.iter().map(|class| class.need.gpus).max().unwrap_or(0);
        let gang = (0..=most).map(|empty| weight(&|need| (2..=empty).contains(&need.gpus)));
        Self {
            single: single.collect(),
            gang: gang.collect(),
        }
    }

    /// Weight of the classes that want one GPU and get it from one with this bucket.
    pub(super) fn single(&self, bucket: usize) -> i64 {
        self.single[bucket]
    }

    /// Weight of the classes that want several GPUs and get them where so many are empty.
    pub(super) fn gang(&self, empty: i64) -> i64 {
        let last = self.gang.len() - 1;
        self.gang[last.min(usize::try_from(empty).unwrap_or(0))]
    }
}
