//! What may go to a host at all, and what part of its room each takes.

use super::packing::Packing;

/// Works that fit an empty host of one class.
#[derive(Debug, Clone, Default)]
pub(super) struct Menu {
    pub(super) works: Vec<u32>,
    /// By work and, within it, by dimension.
    pub(super) shares: Vec<f32>,
}

/// A work of a menu that is worth something now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    /// Index into the menu.
    pub(super) index: u32,
    pub(super) work: u32,
    pub(super) gain: f32,
    /// Most of it in one host.
    pub(super) most: u32,
}

impl Menu {
    pub(super) fn of<P: Packing>(packing: &P, host: usize) -> Self {
        let mut menu = Self::default();
        let mut fill = packing.empty(host);
        for work in 0..packing.works().len() {
            if packing.add(&mut fill, work).is_none() {
                continue;
            }
            packing.reset(host, &mut fill);
            menu.works.push(u32::try_from(work).unwrap_or(u32::MAX));
            let dimensions = 0..packing.dimensions();
            menu.shares
                .extend(dimensions.map(|d| packing.share(host, work, d)));
        }
        menu
    }

    /// What is left and worth something.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a gain orders a search and no more"
    )]
    pub(super) fn choices(&self, gains: &[f64], left: &[u32], into: &mut Vec<Choice>) {
        into.clear();
        for (index, work) in (0..).zip(&self.works) {
            let (gain, most) = (gains[*work as usize] as f32, left[*work as usize]);
            if gain > f32::EPSILON && most > 0 {
                into.push(Choice {
                    index,
                    work: *work,
                    gain,
                    most,
                });
            }
        }
    }

    /// The part of each kind of room that a choice takes.
    pub(super) fn shares_of(&self, choice: &Choice, dimensions: usize) -> &[f32] {
        let from = choice.index as usize * dimensions;
        &self.shares[from..from + dimensions]
    }
}
