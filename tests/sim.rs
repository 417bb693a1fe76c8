//! The seeded simulator: the product's engine and agents, with a journal in memory, kernels that
//! are models, a network that delays, repeats and reorders, and crashes of everything. Only the
//! shells are the simulator's; every decision is the product's.
//!
//! `DOVETAIL_SIM_SEEDS=N` runs N seeds instead of the usual budget; a failure names its seed, and
//! `DOVETAIL_SIM_FIRST=SEED DOVETAIL_SIM_SEEDS=1` repeats it.

#[path = "sim/client.rs"]
mod client;
#[path = "sim/kernel.rs"]
mod kernel;
#[path = "sim/node.rs"]
mod node;
#[path = "sim/oracle.rs"]
mod oracle;
#[path = "sim/rng.rs"]
mod rng;
#[path = "sim/scheduler.rs"]
mod scheduler;
#[path = "sim/world.rs"]
mod world;

use world::{Outcome, World};

/// Seeds of the usual budget: about twenty seconds.
const SEEDS: u64 = 300;
/// A planted bug must be found within so many seeds.
#[cfg(any(
    feature = "bug_ack_before_flush",
    feature = "bug_free_without_confirmation",
    feature = "bug_no_revision_check"
))]
const SEEDS_TO_FIND_A_BUG: u64 = 300;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn run(seed: u64) -> Outcome {
    World::new(seed).run()
}

#[cfg(not(any(
    feature = "bug_ack_before_flush",
    feature = "bug_free_without_confirmation",
    feature = "bug_no_revision_check"
)))]
mod sound {
    use super::*;

    #[test]
    fn no_seed_breaks_an_invariant() {
        let (first, count) = (
            number("DOVETAIL_SIM_FIRST", 1),
            number("DOVETAIL_SIM_SEEDS", SEEDS),
        );
        let mut total = world::Totals::default();
        for seed in first..first + count {
            let outcome = run(seed);
            if let Some(violation) = outcome.violation {
                panic!("seed {seed}: {violation}");
            }
            total.add(&outcome.totals);
        }
        println!("{count} seeds, 0 violations: {total}");
        // A few seeds may well miss something; the usual budget must not.
        if count >= SEEDS {
            total.assert_everything_happened();
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        for seed in [7, 8, 9] {
            assert_eq!(run(seed).trace, run(seed).trace, "seed {seed}");
        }
    }
}

#[cfg(any(
    feature = "bug_ack_before_flush",
    feature = "bug_free_without_confirmation",
    feature = "bug_no_revision_check"
))]
#[test]
fn the_planted_bug_is_found() {
    let most = number("DOVETAIL_SIM_SEEDS", SEEDS_TO_FIND_A_BUG);
    let found = (1..=most).find_map(|seed| run(seed).violation.map(|violation| (seed, violation)));
    match found {
        Some((seed, violation)) => println!("found by seed {seed}: {violation}"),
        None => panic!("{most} seeds did not find the planted bug"),
    }
}
