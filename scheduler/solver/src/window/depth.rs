//! Pricing depth first: contents with the most gain, cut off by what the rest of the room can
//! gain at best.

use super::{
    greedy::{Ask, Found},
    menu::Choice,
    packing::{Packing, Slots},
};
use std::collections::VecDeque;

/// Of all that were the best at some time, the last so many are columns as well.
const KEEP: usize = 3;

/// A search through contents of one host.
struct Search<'a, P: Packing> {
    ask: &'a Ask<'a, P>,
    choices: Vec<Choice>,
    /// By choice and dimension, in the order of the search.
    shares: Vec<f32>,
    /// By choice and dimension: the best gain per room from this choice on.
    densities: Vec<f32>,
    dimensions: usize,
    /// Tries that are left.
    tries: u32,
    steps: Vec<(u32, Slots)>,
    /// The best so far is the last.
    best: VecDeque<Found>,
    most: f64,
}

/// Ever better contents, and whether nothing better than the last exists.
pub(super) fn price<P: Packing>(ask: &Ask<'_, P>, tries: u32) -> (VecDeque<Found>, bool) {
    let mut choices = Vec::new();
    ask.menu.choices(ask.gains, ask.left, &mut choices);
    let mut search = Search::new(ask, choices, tries);
    let free = vec![1.0; search.dimensions];
    let empty = ask.packing.empty(ask.host);
    search.dive(0, &empty, &free, 0.0);
    let proven = search.tries > 0;
    (search.best, proven)
}

impl<'a, P: Packing> Search<'a, P> {
    fn new(ask: &'a Ask<'a, P>, mut choices: Vec<Choice>, tries: u32) -> Self {
        let kinds = ask.packing.dimensions();
        // The mean of all kinds of room is one more kind: it often bounds best.
        let room = |choice: &Choice| -> f32 { ask.menu.shares_of(choice, kinds).iter().sum() };
        let density = |choice: &Choice| choice.gain / room(choice).max(f32::EPSILON);
        choices.sort_by(|a, b| {
            density(b)
                .total_cmp(&density(a))
                .then(a.index.cmp(&b.index))
        });
        let dimensions = kinds + 1;
        let mut shares = Vec::with_capacity(choices.len() * dimensions);
        for choice in &choices {
            shares.extend(ask.menu.shares_of(choice, kinds));
            #[allow(clippy::cast_precision_loss, reason = "there are few kinds of room")]
            shares.push(room(choice) / kinds as f32);
        }
        let densities = densities(&choices, &shares, dimensions);
        Self {
            ask,
            choices,
            shares,
            densities,
            dimensions,
            tries,
            steps: Vec::new(),
            best: VecDeque::new(),
            most: ask.above,
        }
    }

    fn dive(&mut self, from: usize, fill: &P::Fill, free: &[f32], gain: f64) {
        for next in from..self.choices.len() {
            if self.tries == 0 || gain + self.bound(next, free) <= self.most {
                return;
            }
            self.tries -= 1;
            let choice = self.choices[next];
            if !self.fits(next, free) || self.used(choice.work) >= choice.most {
                continue;
            }
            let mut deeper = fill.clone();
            let Some(slots) = self.ask.packing.add(&mut deeper, choice.work as usize) else {
                continue;
            };
            self.steps.push((choice.work, slots));
            let gain = gain + f64::from(choice.gain);
            if gain > self.most {
                self.keep(gain);
            }
            let rest = free.iter().zip(self.shares_of(next)).map(|(f, s)| f - s);
            let rest: Vec<f32> = rest.collect();
            self.dive(next, &deeper, &rest, gain);
            self.steps.pop();
        }
    }

    fn keep(&mut self, gain: f64) {
        self.most = gain;
        let steps = self.steps.clone();
        self.best.push_back(Found { gain, steps });
        if self.best.len() > KEEP {
            self.best.pop_front();
        }
    }

    /// Steps of one work follow each other.
    fn used(&self, work: u32) -> u32 {
        let same = self.steps.iter().rev().take_while(|(w, _)| *w == work);
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }

    fn shares_of(&self, choice: usize) -> &[f32] {
        &self.shares[choice * self.dimensions..(choice + 1) * self.dimensions]
    }

    /// A quick look before a host is copied; a little too generous for rounding.
    fn fits(&self, choice: usize, free: &[f32]) -> bool {
        let mut pairs = self.shares_of(choice).iter().zip(free);
        pairs.all(|(share, free)| *share <= free + 1e-4)
    }

    fn bound(&self, choice: usize, free: &[f32]) -> f64 {
        let densities = &self.densities[choice * self.dimensions..];
        let most = free.iter().zip(densities).map(|(f, d)| f * d);
        f64::from(most.fold(f32::INFINITY, f32::min)) + 1e-4
    }
}

fn densities(choices: &[Choice], shares: &[f32], dimensions: usize) -> Vec<f32> {
    let mut best = vec![0.0_f32; dimensions];
    let mut densities = vec![0.0; choices.len() * dimensions];
    for (index, choice) in choices.iter().enumerate().rev() {
        for (d, most) in best.iter_mut().enumerate() {
            let density = choice.gain / shares[index * dimensions + d];
            *most = most.max(density);
            densities[index * dimensions + d] = *most;
        }
    }
    densities
}
