//! From a problem to its outcome.
//!
//! ```text
//! Problem -> exact | window | fluid | repair -> Outcome
//! ```
//!
//! `exact` packs a few nodes, `window` much waiting work on many, `fluid` says what the room of a
//! cluster is worth to a mix, and `repair` who moves so that something blocked fits. `process` runs all
//! of this in a child process that can be killed.

#![forbid(unsafe_code)]

mod aggregate;
pub mod ceiling;
pub mod exact;
pub mod fluid;
pub mod lp;
pub mod process;
pub mod repair;
pub mod window;

use dovetail_core::{
    outcome::{Answer, Outcome},
    problem::{Problem, Task},
};
use std::time::{Duration, Instant};

/// When a search ends without a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// After this time: for production.
    Time(Duration),
    /// After so many nodes of each search tree: the same outcome on every machine.
    Nodes(u32),
}

/// Answers one problem after the other. What was good in one window is tried in the next.
#[derive(Debug, Default)]
pub struct Session {
    pool: window::Pool,
}

impl Session {
    /// The best answer found within the problem's soft limit.
    pub fn solve(&mut self, problem: &Problem) -> Outcome {
        let time = Duration::from_millis(problem.limits.soft_ms);
        self.solve_until(problem, Stop::Time(time))
    }

    /// The best answer found until the search is stopped.
    pub fn solve_until(&mut self, problem: &Problem, stop: Stop) -> Outcome {
        let began = Instant::now();
        let answer = match &problem.task {
            Task::Exact(task) => Answer::Exact(exact::solve(task, problem.limits.seed, stop)),
            Task::Window(task) => {
                let limits = window_limits(problem, stop);
                Answer::Window(window::solve(task, &limits, &mut self.pool))
            }
            Task::Fluid(task) => Answer::Fluid(fluid::solve(task)),
            Task::Repair(task) => Answer::Repair(repair::solve_on_few(task, stop).repaired),
        };
        Outcome {
            problem: problem.id,
            answer,
            elapsed_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        }
    }
}

fn window_limits(problem: &Problem, stop: Stop) -> window::Limits {
    let time = match stop {
        Stop::Nodes(_) => None,
        Stop::Time(soft) => Some(window::Time {
            soft,
            hard: Duration::from_millis(problem.limits.hard_ms),
        }),
    };
    window::Limits {
        time,
        ..window::Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_core::{
        packing::{Demand, GpuRoom, Gpus, Room, Take},
        problem::{
            Limits,
            window::{Class, Window},
        },
    };
    use dovetail_model::{
        id::Revision,
        units::{Bytes, CpuMilli, GpuMilli},
    };

    #[test]
    fn what_was_good_in_one_window_is_kept_for_the_next() {
        let gpu = GpuRoom {
            device: 0,
            compute: GpuMilli(1000),
            memory: Bytes(1000),
            empty: true,
            tenant: None,
        };
        let room = Room {
            kind: 0,
            cpu: CpuMilli(8000),
            memory: Bytes(1000),
            slices: 9,
            gpus: vec![gpu; 2],
        };
        let class = |milli| Class {
            demand: Demand {
                cpu: CpuMilli(100),
                memory: Bytes(1),
                tenant: 0,
                gpus: Gpus::Share,
                takes: vec![Some(Take {
                    compute: GpuMilli(milli),
                    memory: Bytes(milli),
                })],
                kinds: vec![true],
            },
            count: 60,
            priority: 0,
            worth: milli,
        };
        let window = Window {
            nodes: vec![room; 40],
            classes: [230, 310, 370, 470, 590].map(class).to_vec(),
            start: Vec::new(),
            seed: 1,
        };
        let problem = Problem {
            id: 1,
            revision: Revision(1),
            limits: Limits {
                soft_ms: 1000,
                hard_ms: 2000,
                seed: 1,
            },
            task: Task::Window(window),
        };
        let mut session = Session::default();
        let before = format!("{:?}", session.pool);
        session.solve_until(&problem, Stop::Nodes(1000));
        assert_ne!(format!("{:?}", session.pool), before);
    }
}
