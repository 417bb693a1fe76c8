//! Pricing by greed: fill a host many times by gain per room, with room weighed at random.

use super::{
    menu::{Choice, Menu},
    packing::{Packing, Slots},
    rng::Rng,
};

/// How much the order of choices is shaken in one trial.
const SHAKE: f32 = 0.3;
/// In shaken trials one choice in so many is taken only once or twice, so that contents mix.
const FEW_ONE_IN: f32 = 0.25;
/// A choice that takes nothing of what is scarce is still not infinitely good.
const ROOM_LEAST: f32 = 1e-4;

/// Contents found for a host, and their gain.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) gain: f64,
    pub(super) steps: Vec<(u32, Slots)>,
}

/// What it remembers between calls.
#[derive(Debug)]
pub(super) struct Greedy {
    /// By host: the weights of room that found most.
    weights: Vec<Vec<f32>>,
    rng: Rng,
    /// Score and, below it, the index of the choice: whole numbers are sorted fastest.
    order: Vec<u64>,
    /// By choice: how many of it at most.
    most: Vec<u32>,
    choices: Vec<Choice>,
}

/// One host that is to be filled.
#[derive(Debug)]
pub(super) struct Ask<'a, P: Packing> {
    pub(super) packing: &'a P,
    pub(super) menu: &'a Menu,
    pub(super) host: usize,
    pub(super) gains: &'a [f64],
    pub(super) left: &'a [u32],
    /// Contents must gain more than this.
    pub(super) above: f64,
}

impl Greedy {
    pub(super) fn new<P: Packing>(packing: &P, seed: u64) -> Self {
        Self {
            weights: vec![vec![1.0; packing.dimensions()]; packing.hosts().len()],
            rng: Rng::new(seed),
            order: Vec::new(),
            most: Vec::new(),
            choices: Vec::new(),
        }
    }

    /// The best contents of some trials, best first, at most `keep`.
    pub(super) fn price<P: Packing>(
        &mut self,
        ask: &Ask<'_, P>,
        trials: u32,
        keep: usize,
    ) -> Vec<Found> {
        let mut choices = std::mem::take(&mut self.choices);
        ask.menu.choices(ask.gains, ask.left, &mut choices);
        let mut best: Vec<Found> = Vec::new();
        let mut fill = ask.packing.empty(ask.host);
        let mut most = 0.0;
        for trial in 0..trials {
            if choices.is_empty() {
                break;
            }
            let weights = self.draw(ask.host, trial);
            self.sort(ask, &choices, &weights, trial);
            ask.packing.reset(ask.host, &mut fill);
            let found = self.fill(ask, &choices, &mut fill);
            if found.gain > most {
                most = found.gain;
                self.weights[ask.host] = weights;
            }
            if found.gain > ask.above {
                insert(&mut best, found, keep);
            }
        }
        self.choices = choices;
        best
    }

    /// The first trial repeats the best weights; then every second one is near them.
    fn draw(&mut self, host: usize, trial: u32) -> Vec<f32> {
        let known = &self.weights[host];
        let rng = &mut self.rng;
        match (trial, trial % 2) {
            (0, _) => known.clone(),
            (_, 0) => known.iter().map(|w| w * (0.5 + rng.unit())).collect(),
            _ => known.iter().map(|_| rng.exponential()).collect(),
        }
    }

    fn sort<P: Packing>(
        &mut self,
        ask: &Ask<'_, P>,
        choices: &[Choice],
        weights: &[f32],
        trial: u32,
    ) {
        self.order.clear();
        self.most.clear();
        for (index, choice) in (0_u64..).zip(choices) {
            let shares = ask.menu.shares_of(choice, weights.len());
            let room: f32 = shares.iter().zip(weights).map(|(s, w)| s * w).sum();
            let (shake, most) = self.shake(trial, choice.most);
            let score = choice.gain * shake / room.max(ROOM_LEAST);
            // Positive floats are ordered as their bits are.
            self.order.push(u64::from(score.to_bits()) << 32 | index);
            self.most.push(most);
        }
        self.order.sort_unstable_by_key(|entry| !entry);
    }

    /// A factor of the score, and how many to take at most.
    fn shake(&mut self, trial: u32, most: u32) -> (f32, u32) {
        if trial % 4 < 2 {
            return (1.0, most);
        }
        let few = self.rng.unit();
        let most = match few {
            few if few < FEW_ONE_IN / 2.0 => 1,
            few if few < FEW_ONE_IN => most.min(2),
            _ => most,
        };
        (1.0 + SHAKE * (self.rng.unit() - 0.5), most)
    }

    fn fill<P: Packing>(&self, ask: &Ask<'_, P>, choices: &[Choice], fill: &mut P::Fill) -> Found {
        let mut found = Found {
            gain: 0.0,
            steps: Vec::new(),
        };
        for entry in &self.order {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "the lower half is the index"
            )]
            let index = *entry as u32 as usize;
            let choice = choices[index];
            for _ in 0..self.most[index] {
                let Some(slots) = ask.packing.add(fill, choice.work as usize) else {
                    break;
                };
                found.steps.push((choice.work, slots));
                found.gain += f64::from(choice.gain);
            }
        }
        found
    }
}

/// Keeps the best. Equal gains are mostly equal contents and are kept once.
fn insert(best: &mut Vec<Found>, found: Found, keep: usize) {
    let place = best.partition_point(|other| other.gain > found.gain);
    let known = best
        .get(place)
        .is_some_and(|other| other.gain >= found.gain);
    if place < keep && !known {
        best.insert(place, found);
        best.truncate(keep);
    }
}
