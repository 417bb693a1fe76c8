//! What holds whatever the order of grants, ends, removals, restarts and lost messages.

use super::{
    tests::{config, epoch, exit, grant, id, inventory, ours},
    *,
};
use dovetail_model::{
    report::SliceState,
    time::SECOND_NS,
    units::{Bytes, CpuMilli, GpuMilli},
};
use proptest::prelude::*;

/// Slices the scheduler of this test plays with.
const SLICES: u64 = 8;

/// One step of the world around an agent.
#[derive(Debug, Clone)]
enum Step {
    /// The scheduler grants a slice it never granted, on this GPU.
    Grant(u64, u32),
    Release(u64),
    /// The scheduler forgets a slice without a release.
    Forget(u64),
    /// Any desired state sent before arrives again.
    Replay(prop::sample::Index),
    /// The oldest outstanding start is answered.
    Starts(bool),
    Ends(u64),
    /// Outstanding removals are answered.
    Removes(bool),
    Link(bool),
    /// The process of the agent is killed and comes back.
    Restart,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..SLICES, 0..2_u32).prop_map(|(w, gpu)| Step::Grant(w, gpu)),
        2 => (0..SLICES).prop_map(Step::Release),
        1 => (0..SLICES).prop_map(Step::Forget),
        1 => any::<prop::sample::Index>().prop_map(Step::Replay),
        4 => any::<bool>().prop_map(Step::Starts),
        2 => (0..SLICES).prop_map(Step::Ends),
        3 => any::<bool>().prop_map(Step::Removes),
        1 => any::<bool>().prop_map(Step::Link),
        1 => Just(Step::Restart),
        2 => (0..20_u64).prop_map(Step::Wait),
    ]
}

/// A kernel, a disk and a scheduler's memory, and what must hold between them.
struct World {
    agent: Agent,
    boot_ns: u64,
    revision: u64,
    grants: BTreeMap<SliceId, Grant>,
    releases: BTreeSet<SliceId>,
    ever_granted: BTreeSet<SliceId>,
    ever_released: BTreeSet<SliceId>,
    sent: Vec<GrantSet>,
    /// What the kernel has: true while the process lives.
    kernel: BTreeMap<SliceId, (Placement, bool)>,
    starting: Vec<SliceId>,
    removing: Vec<SliceId>,
    ever_started: BTreeSet<SliceId>,
    highest: Option<(ClusterId, Epoch)>,
    exits: BTreeMap<SliceId, ExitRecord>,
    obeyed: Epoch,
    reported: Option<SliceReport>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            agent: Agent::new(config(), Recovered::default()),
            boot_ns: 0,
            revision: 0,
            grants: BTreeMap::new(),
            releases: BTreeSet::new(),
            ever_granted: BTreeSet::new(),
            ever_released: BTreeSet::new(),
            sent: Vec::new(),
            kernel: BTreeMap::new(),
            starting: Vec::new(),
            removing: Vec::new(),
            ever_started: BTreeSet::new(),
            highest: None,
            exits: BTreeMap::new(),
            obeyed: Epoch::default(),
            reported: None,
        };
        world.input(Input::InventoryChanged(inventory()));
        world.input(Input::LinkUp(ours()));
        world
    }

    fn input(&mut self, input: Input) {
        let now = Now {
            boot_ns: self.boot_ns,
            wall_ns: 7,
        };
        for effect in self.agent.handle(input, now) {
            self.effect(effect);
        }
        self.never_over_allocated();
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Spool(SpoolWrite::Highest(cluster, epoch)) => {
                assert!(self.highest.as_ref().is_none_or(|(_, old)| *old <= epoch));
                self.highest = Some((cluster, epoch));
            }
            Effect::Spool(SpoolWrite::Exit(slice, record)) => {
                self.exits.insert(slice, record);
            }
            Effect::Spool(SpoolWrite::DropExit(slice)) => {
                self.exits.remove(&slice);
            }
            Effect::Start(grant, epoch) => self.start(&grant, epoch),
            Effect::Stop { slice, .. } => {
                assert!(self.ever_released.contains(&slice), "{slice} not released");
            }
            Effect::Kill(slice) => self.kill(slice),
            Effect::Remove(slice) => {
                let lives = self.kernel.get(&slice).is_some_and(|(_, lives)| *lives);
                assert!(!lives, "{slice} removed while it runs");
                assert!(self.exits.contains_key(&slice), "{slice} has no record");
                self.removing.push(slice);
            }
            Effect::Send(Report::Slices(report)) => self.check_report(report),
            Effect::Send(_) | Effect::Alert(_) => {}
        }
    }

    fn start(&mut self, grant: &Grant, epoch: Epoch) {
        let slice = grant.placement.slice;
        assert!(self.ever_started.insert(slice), "{slice} started twice");
        let durable = self.highest.as_ref().map(|(_, e)| *e);
        assert_eq!(durable, Some(epoch), "obeyed before it was durable");
        self.kernel.insert(slice, (grant.placement.clone(), true));
        self.starting.push(slice);
    }

    /// The kill ends the process; the agent hears of it at once, as from a pidfd.
    fn kill(&mut self, slice: SliceId) {
        let Some((_, lives)) = self.kernel.get_mut(&slice) else {
            return;
        };
        if std::mem::take(lives) {
            assert!(self.ever_released.contains(&slice), "{slice} not released");
            self.starting.retain(|other| *other != slice);
            self.input(Input::Ended(slice, exit(137)));
        }
    }

    fn check_report(&mut self, report: SliceReport) {
        assert!(report.obeyed >= self.obeyed, "obeyed something older");
        self.obeyed = report.obeyed;
        let named: BTreeSet<SliceId> = report.slices.iter().map(|s| s.slice).collect();
        for slice in self.kernel.keys() {
            assert!(named.contains(slice), "{slice} exists and is not reported");
        }
        for status in &report.slices {
            if matches!(status.state, SliceState::Exited(_)) {
                assert!(!self.kernel.contains_key(&status.slice));
            }
        }
        self.reported = Some(report);
    }

    fn never_over_allocated(&self) {
        let held = || self.kernel.values().map(|(placement, _)| placement);
        let have = inventory();
        assert!(held().map(|p| p.cpu).sum::<CpuMilli>() <= have.cpu);
        assert!(held().map(|p| p.memory).sum::<Bytes>() <= have.memory);
        for gpu in &have.gpus {
            let on = || held().flat_map(|p| &p.gpus).filter(|g| g.uuid == gpu.uuid);
            assert!(on().map(|g| g.compute).sum::<GpuMilli>() <= GpuMilli(1000));
            assert!(on().map(|g| g.memory).sum::<Bytes>() <= gpu.memory);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Grant(workload, gpu) => {
                if self.ever_granted.insert(id(workload)) {
                    self.grants.insert(id(workload), grant(workload, gpu));
                    self.send_new();
                }
            }
            Step::Release(workload) => {
                if self.grants.remove(&id(workload)).is_some() {
                    self.releases.insert(id(workload));
                    self.ever_released.insert(id(workload));
                    self.send_new();
                }
            }
            Step::Forget(workload) => {
                self.grants.remove(&id(workload));
                self.send_new();
            }
            Step::Replay(index) if !self.sent.is_empty() => {
                let set = index.get(&self.sent).clone();
                self.input(Input::Grants(set));
            }
            Step::Replay(_) => {}
            Step::Starts(well) => self.answer_start(well),
            Step::Ends(workload) => self.end(id(workload)),
            Step::Removes(well) => self.answer_removals(well),
            Step::Link(true) => self.input(Input::LinkUp(ours())),
            Step::Link(false) => self.input(Input::LinkDown),
            Step::Restart => self.restart(),
            Step::Wait(seconds) => {
                self.boot_ns += seconds * SECOND_NS;
                self.input(Input::Tick);
            }
        }
    }

    /// A new revision, with every reported end acknowledged.
    fn send_new(&mut self) {
        self.revision += 1;
        let ended = |report: &SliceReport| -> Vec<SliceId> {
            let exited =
                |s: &&dovetail_model::report::SliceStatus| matches!(s.state, SliceState::Exited(_));
            report
                .slices
                .iter()
                .filter(exited)
                .map(|s| s.slice)
                .collect()
        };
        let acknowledged: Vec<SliceId> = self.reported.as_ref().map(ended).unwrap_or_default();
        for slice in &acknowledged {
            self.grants.remove(slice);
            self.releases.remove(slice);
        }
        let set = GrantSet {
            cluster: ours(),
            epoch: epoch(1, self.revision),
            grants: self.grants.values().cloned().collect(),
            releases: self.releases.iter().copied().collect(),
            acknowledged_exits: acknowledged,
        };
        self.sent.push(set.clone());
        self.input(Input::Grants(set));
    }

    fn answer_start(&mut self, well: bool) {
        if self.starting.is_empty() {
            return;
        }
        let slice = self.starting.remove(0);
        if well {
            self.input(Input::Started(slice, Level::Shared));
        } else {
            self.kernel
                .entry(slice)
                .and_modify(|(_, lives)| *lives = false);
            self.input(Input::StartFailed(slice, "no".to_owned()));
        }
    }

    fn end(&mut self, slice: SliceId) {
        let Some((_, lives)) = self.kernel.get_mut(&slice) else {
            return;
        };
        if std::mem::take(lives) {
            self.starting.retain(|other| *other != slice);
            self.input(Input::Ended(slice, exit(0)));
        }
    }

    fn answer_removals(&mut self, well: bool) {
        for slice in std::mem::take(&mut self.removing) {
            if well {
                self.kernel.remove(&slice);
                self.input(Input::Removed(slice));
            } else {
                self.input(Input::RemoveBusy(slice));
            }
        }
    }

    fn restart(&mut self) {
        let found = |(placement, lives): &(Placement, bool)| Found {
            placement: placement.clone(),
            cluster: ours(),
            epoch: epoch(1, 1),
            level: Level::Shared,
            exit: (!lives).then(|| exit(1)),
        };
        let recovered = Recovered {
            highest: self.highest.clone(),
            found: self.kernel.values().map(found).collect(),
            exits: self.exits.clone().into_iter().collect(),
        };
        self.starting.clear();
        self.removing.clear();
        self.agent = Agent::new(config(), recovered);
        self.input(Input::InventoryChanged(inventory()));
        self.input(Input::LinkUp(ours()));
    }

    /// No more faults: everything is answered and time passes.
    fn settle(&mut self) {
        self.input(Input::LinkUp(ours()));
        for _ in 0..3 * SLICES {
            self.send_new();
            while !self.starting.is_empty() {
                self.answer_start(true);
            }
            self.answer_removals(true);
            self.step(Step::Wait(11));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_the_rules_and_the_node_gets_where_it_shall_be(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.settle();
        let report = world.reported.clone().unwrap();
        prop_assert_eq!(report.obeyed, epoch(1, world.revision));
        for slice in world.kernel.keys() {
            prop_assert!(!world.ever_released.contains(slice), "{} was released", slice);
        }
        for slice in world.grants.keys() {
            let state = report.slices.iter().find(|s| s.slice == *slice).map(|s| &s.state);
            prop_assert!(
                matches!(state, Some(SliceState::Running | SliceState::Exited(_) | SliceState::Waiting)),
                "{} is {:?}", slice, state
            );
        }
    }
}
