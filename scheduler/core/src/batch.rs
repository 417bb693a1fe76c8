//! Group commit: what several inputs brought about is made durable in one write, and leaves the
//! process only after it.

use crate::{effect::Effect, event::Event};

/// Effects of the inputs handled since the last write.
#[derive(Debug, Default)]
pub struct Batch {
    events: Vec<Event>,
    at_once: Vec<Effect>,
    parked: Vec<Effect>,
}

impl Batch {
    /// Adds the effects of one input, in order. A log line promises nothing, and a solve only
    /// proposes; everything else is a promise and waits.
    pub fn add(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Journal(event) => self.events.push(event),
                effect @ (Effect::Alert(_) | Effect::Solve(_)) => self.at_once.push(effect),
                // A planted bug for the simulator to find: an acknowledgement before the flush.
                effect @ Effect::Reply { .. } if cfg!(feature = "bug_ack_before_flush") => {
                    self.at_once.push(effect);
                }
                effect @ (Effect::Reply { .. } | Effect::Send { .. } | Effect::Close { .. }) => {
                    self.parked.push(effect);
                }
            }
        }
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.at_once.is_empty() && self.parked.is_empty()
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// What does not depend on the write.
    pub fn take_at_once(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.at_once)
    }

    /// The events to append in one write, and what may leave when that has succeeded.
    pub fn split(self) -> (Vec<Event>, Vec<Effect>) {
        (self.events, self.parked)
    }
}
