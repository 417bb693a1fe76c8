//! What the engine must know of a problem: hosts and works in classes, and what fits together.

/// A packing problem in classes, so that its size does not grow with the number of nodes.
pub trait Packing {
    /// A host while it is being filled.
    type Fill: Clone;

    /// Equal hosts.
    fn hosts(&self) -> &[Host];

    /// Equal works.
    fn works(&self) -> &[Work];

    /// An empty host of this class.
    fn empty(&self, host: usize) -> Self::Fill;

    /// Empties a host of this class again.
    fn reset(&self, host: usize, fill: &mut Self::Fill) {
        *fill = self.empty(host);
    }

    /// Adds a work where it fits best, and says in which slots it is.
    fn add(&self, fill: &mut Self::Fill, work: usize) -> Option<Slots>;

    /// Adds a work to these slots; false if it does not fit there.
    fn put(&self, fill: &mut Self::Fill, work: usize, slots: Slots) -> bool;

    /// How many kinds of room there are.
    fn dimensions(&self) -> usize;

    /// What part of an empty host's room a work takes, of one kind.
    fn share(&self, host: usize, work: usize, dimension: usize) -> f32;
}

/// Slots of a host as bits, such as its GPUs; 0 where a host has none.
pub type Slots = u64;

/// A class of hosts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Host {
    /// How many.
    pub count: u32,
    /// What using one costs.
    pub cost: f64,
}

/// A class of works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// How many.
    pub count: u32,
    /// What placing one is worth.
    pub worth: f64,
}
