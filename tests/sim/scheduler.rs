//! The scheduler's shell: a journal in memory with a slow disk, group commit, and crashes.

use dovetail_core::{
    batch::Batch, effect::Effect, engine::Engine, event::Event, input::Input, policy::Policy,
    state::State,
};
use dovetail_model::{id::ClusterId, time::Now};

#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) engine: Option<Engine>,
    batch: Batch,
    /// On its way to the disk.
    writing: Option<(Vec<Event>, Vec<Effect>)>,
    /// On the disk.
    pub(crate) durable: State,
    pub(crate) life: u64,
}

/// What a step of the scheduler brought about.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// To be carried out.
    pub(crate) effects: Vec<Effect>,
    /// A write began and will be durable after the disk's time.
    pub(crate) write_began: bool,
}

impl Scheduler {
    pub(crate) fn new() -> Self {
        Self {
            engine: None,
            batch: Batch::default(),
            writing: None,
            durable: State::default(),
            life: 0,
        }
    }

    pub(crate) fn start(&mut self, now: Now) -> Step {
        let mut engine = Engine::new(self.durable.clone(), Policy::default());
        let effects = engine.start(ClusterId("sim".into()), now);
        self.engine = Some(engine);
        self.life += 1;
        self.park(effects)
    }

    /// Everything that is not on the disk is gone.
    pub(crate) fn crash(&mut self) {
        self.engine = None;
        self.batch = Batch::default();
        self.writing = None;
        self.life += 1;
    }

    pub(crate) fn handle(&mut self, input: Input, now: Now) -> Step {
        let Some(engine) = &mut self.engine else {
            return Step::default();
        };
        let effects = engine.handle(input, now);
        self.park(effects)
    }

    fn park(&mut self, effects: Vec<Effect>) -> Step {
        self.batch.add(effects);
        let effects = self.batch.take_at_once();
        Step {
            effects,
            write_began: self.write(),
        }
    }

    fn write(&mut self) -> bool {
        if self.writing.is_some() || self.batch.is_empty() {
            return false;
        }
        self.writing = Some(std::mem::take(&mut self.batch).split());
        true
    }

    /// The disk has done it: what waited for it leaves, and the next write begins. Also the events
    /// that are durable now.
    pub(crate) fn written(&mut self) -> (Step, Vec<Event>) {
        let Some((events, effects)) = self.writing.take() else {
            return Default::default();
        };
        for event in &events {
            self.durable
                .apply(event)
                .expect("the journal follows from itself");
        }
        (
            Step {
                effects,
                write_began: self.write(),
            },
            events,
        )
    }
}
