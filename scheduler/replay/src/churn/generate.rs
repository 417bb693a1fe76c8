//! Making event files: Poisson arrivals of pods of a list, with lifetimes of mean 1.

use super::{
    draw::{self, FRACTION_BITS},
    events::{Event, Events, LIFETIME_TICKS, LIFETIME_TICKS_MAX, Lifetimes, Source},
};
use crate::rng::Rng;

/// How long a file lasts, in lifetimes.
const LIFETIMES: u64 = 6;

/// The events that follow from this source; equal sources have equal events.
///
/// Pods are drawn evenly from the list. With exponential lifetimes the cluster starts empty and is
/// in its steady state after a few lifetimes. Log-normal lives are so long that it would take
/// hundreds: there the steady state's pods, with what is left of their lives, all come at 0.
pub fn generate(source: Source) -> Events {
    let mut rng = Rng::new(source.seed);
    let mut events = Vec::new();
    if source.lifetimes == Lifetimes::LogNormal {
        for _ in 0..source.arrivals_per_1000_lifetimes / 1000 {
            let life = u128::from(draw::log_normal(&mut rng, 2));
            let left = (life * u128::from(rng.next())) >> 64;
            events.push(event(0, &source, &mut rng, left));
        }
    }
    let mean_gap = u128::from(LIFETIME_TICKS) * 1000;
    let mut time = 0_u128;
    loop {
        time += u128::from(draw::exponential(&mut rng)) * mean_gap
            / u128::from(source.arrivals_per_1000_lifetimes.max(1));
        let at = u64::try_from(time >> FRACTION_BITS).expect("it is below the end");
        if at >= LIFETIMES * LIFETIME_TICKS {
            return Events { source, events };
        }
        let life = match source.lifetimes {
            Lifetimes::Exponential => draw::exponential(&mut rng),
            Lifetimes::LogNormal => draw::log_normal(&mut rng, -2),
        };
        events.push(event(at, &source, &mut rng, life.into()));
    }
}

fn event(at: u64, source: &Source, rng: &mut Rng, life: u128) -> Event {
    let ticks = (life * u128::from(LIFETIME_TICKS)) >> FRACTION_BITS;
    let ticks = ticks.clamp(1, LIFETIME_TICKS_MAX.into());
    Event {
        at,
        pod: rng.below(source.pods.into()),
        lifetime: u64::try_from(ticks).expect("it is clamped"),
    }
}
