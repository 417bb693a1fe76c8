//! What a workload that fits nowhere is told about moving others.

use super::*;
use crate::{
    check::{self, Rejection},
    decide::repair::{Bounds, ByScore, propose, verify},
    explain::{Explanation, Moving},
    outcome::{self, Outcome},
    plan::Step,
    problem::{
        Task,
        exact::Slot,
        repair::{Repair, Repaired},
    },
};
use dovetail_model::{
    node::{GpuSample, Sample},
    workload::{Movable, WorkloadKind},
};

/// A service, so that it is placed at once, that loses so many seconds when it is moved.
fn movable(mut spec: WorkloadSpec, seconds: u32) -> WorkloadSpec {
    spec.movable = Some(Movable {
        restart_cost_seconds: seconds,
    });
    pinned(spec)
}

fn pinned(mut spec: WorkloadSpec) -> WorkloadSpec {
    spec.kind = WorkloadKind::Service;
    spec
}

impl World {
    /// Submits these while only this node is open.
    fn on(&mut self, node: &str, specs: impl IntoIterator<Item = WorkloadSpec>) -> Vec<WorkloadId> {
        let others: Vec<NodeName> = self.agents.keys().cloned().collect();
        let others = others.iter().filter(|other| other.as_str() != node);
        let others: Vec<&NodeName> = others.collect();
        for other in &others {
            self.cordon(other.as_str(), Some("elsewhere"));
        }
        let submitted = specs.into_iter().map(|spec| self.submit(spec).workload.id);
        let ids: Vec<WorkloadId> = submitted.collect();
        for other in &others {
            self.cordon(other.as_str(), None);
        }
        for id in &ids {
            let place = &self.engine.state().workload(*id).unwrap().members[0].placement;
            assert_eq!(place.node.as_str(), node);
        }
        ids
    }

    /// Asks why, and does not wait for the answer.
    fn ask_why(&mut self, id: WorkloadId) -> ReplyId {
        self.replies += 1;
        let reply = ReplyId(self.replies);
        let workload = WorkloadRef::Id(id);
        self.input(Input::Request {
            reply,
            caller: caller(1000, false),
            request: Request::Explain { workload },
        });
        reply
    }

    /// What was answered, if something was.
    fn told(&mut self, reply: ReplyId) -> Option<Explanation> {
        match self.answers.remove(&reply)? {
            Ok(Answer::Explanation { explanation, .. }) => Some(*explanation),
            other => panic!("{other:?}"),
        }
    }

    /// The repair that the solver was asked for last.
    fn asked(&self) -> (u64, Repair) {
        let problem = self.fluids.last().expect("the solver was asked");
        let Task::Repair(repair) = &problem.task else {
            panic!("{problem:?}");
        };
        (problem.id, repair.clone())
    }

    fn answer(&mut self, answer: Option<Repaired>) {
        let (problem, _) = self.asked();
        let outcome = Outcome {
            problem,
            answer: outcome::Answer::Repair(answer),
            elapsed_us: 0,
        };
        let outcome = Ok(outcome);
        self.input(Input::Solved { problem, outcome });
    }

    /// Asks why; if the exact model is asked, it finds nothing.
    fn explained(&mut self, id: WorkloadId) -> Explanation {
        let reply = self.ask_why(id);
        if let Some(explanation) = self.told(reply) {
            return explanation;
        }
        self.answer(None);
        self.told(reply).expect("it waits for nothing else")
    }

    fn moving(&mut self, id: WorkloadId) -> Moving {
        self.explained(id).moving.expect("it was looked for")
    }
}

/// Two nodes of eight GPUs: two jobs of one GPU on the first, of the costs, and `taken` pinned ones
/// on the second. Somebody wants eight.
fn blocked(costs: [Option<u32>; 2], taken: u32) -> (World, Vec<WorkloadId>, WorkloadId) {
    let mut world = World::new();
    world.node("n1", 8);
    world.node("n2", 8);
    let small = ["a", "b"].into_iter().zip(costs).map(|(name, cost)| {
        let spec = whole(name, 1, 1);
        match cost {
            Some(seconds) => movable(spec, seconds),
            None => pinned(spec),
        }
    });
    let small = world.on("n1", small);
    world.on("n2", [pinned(whole("rest", taken, 1))]);
    let big = world.submit(pinned(whole("big", 8, 1))).workload.id;
    assert_eq!(world.state_of(big), WorkloadState::Pending);
    (world, small, big)
}

#[test]
fn who_waits_for_eight_gpus_is_told_which_jobs_of_one_to_move_and_what_that_costs() {
    let (mut world, small, big) = blocked([Some(600), Some(60)], 4);
    let moving = world.moving(big);
    let mut moved: Vec<WorkloadId> = moving.moves.iter().map(|one| one.workload).collect();
    moved.sort_unstable();
    assert_eq!(moved, small);
    for one in &moving.moves {
        let nodes = (one.from.node.as_str(), one.to.node.as_str());
        assert_eq!(nodes, ("n1", "n2"));
        let cost = if one.name == Some(name("a")) { 600 } else { 60 };
        assert_eq!(one.cost_seconds, cost);
    }
    assert_eq!((moving.cost_seconds, moving.movable), (660, 2));
    assert_eq!(moving.placements.len(), 1);
    assert_eq!(moving.placements[0].node.as_str(), "n1");
    assert_eq!(moving.placements[0].gpus.len(), 8);
    let text = moving.text();
    assert!(
        text.starts_with("2 moves would make room, for 660 s"),
        "{text}"
    );
    assert!(text.contains("does not move work by itself yet"), "{text}");
    assert_eq!(
        world.state_of(big),
        WorkloadState::Pending,
        "it only proposes"
    );
}

#[test]
fn a_gang_is_told_how_all_its_members_would_fit() {
    let mut world = World::new();
    for node in ["n1", "n2", "n3"] {
        world.node(node, 8);
    }
    world.on("n1", [movable(share("a", 300), 5)]);
    world.on("n2", [movable(whole("b", 1, 1), 7)]);
    world.on("n3", [pinned(whole("rest", 6, 1))]);
    let gang = world.submit(pinned(whole("gang", 8, 2))).workload.id;
    let moving = world.moving(gang);
    assert_eq!((moving.moves.len(), moving.cost_seconds), (2, 12));
    let mut nodes: Vec<&str> = moving.placements.iter().map(|p| p.node.as_str()).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["n1", "n2"]);
}

#[test]
fn seconds_are_lost_on_each_gpu_and_the_cheaper_way_is_told() {
    let mut world = World::new();
    for node in ["n1", "n2", "n3"] {
        world.node(node, 8);
    }
    world.on("n1", [movable(whole("two", 2, 1), 100)]);
    world.on("n2", [movable(whole("one", 1, 1), 150)]);
    world.on("n3", [pinned(whole("rest", 6, 1))]);
    let big = world.submit(pinned(whole("big", 8, 1))).workload.id;
    let moving = world.moving(big);
    assert_eq!(moving.moves[0].name, Some(name("one")));
    assert_eq!(moving.cost_seconds, 150, "the other would lose 200");
}

#[test]
fn names_of_others_work_are_not_told() {
    let (mut world, _, ours) = blocked([Some(60), Some(600)], 4);
    let spec = pinned(whole("theirs", 8, 1));
    let submitted = world.try_submit(2000, "theirs", spec);
    let Ok(Answer::Workload { workload, .. }) = submitted else {
        panic!("{submitted:?}");
    };
    let theirs = workload.unwrap().workload.id;
    let moves = world.moving(ours).moves;
    assert!(
        moves.iter().all(|one| one.name.is_some()),
        "to whom they belong"
    );
    let (workload, caller) = (WorkloadRef::Id(theirs), caller(2000, false));
    let explained = world.ask(caller, Request::Explain { workload });
    let Ok(Answer::Explanation { explanation, .. }) = explained else {
        panic!("{explained:?}");
    };
    let names = explanation.moving.unwrap().moves.into_iter();
    assert_eq!(names.map(|one| one.name).collect::<Vec<_>>(), [None, None]);
}

#[test]
fn where_nobody_may_move_that_is_said() {
    let (mut world, _, big) = blocked([None, None], 4);
    let moving = world.moving(big);
    assert_eq!(moving, Moving::default());
    assert!(
        moving.text().starts_with("no running workload"),
        "{}",
        moving.text()
    );
}

#[test]
fn where_no_move_helps_that_is_said_with_how_many_were_looked_at() {
    let (mut world, _, big) = blocked([Some(1), Some(1)], 7);
    let moving = world.moving(big);
    assert_eq!(
        (moving.moves.len(), moving.movable),
        (0, 2),
        "one GPU is free for two"
    );
    let text = moving.text();
    assert!(text.contains("at most 16 moves; 2 movable"), "{text}");
}

#[test]
fn gangs_and_what_is_being_stopped_are_not_moved() {
    let mut world = World::new();
    world.node("n1", 8);
    world.node("n2", 8);
    world.on("n1", [movable(whole("gang", 1, 2), 0)]);
    world.on("n2", [pinned(whole("rest", 4, 1))]);
    let big = world.submit(pinned(whole("big", 8, 1))).workload.id;
    assert_eq!(world.moving(big), Moving::default());

    let (mut world, small, big) = blocked([Some(1), Some(1)], 4);
    world.slow = true;
    world.cancel(small[0]);
    assert_eq!(world.moving(big).movable, 1);
}

#[test]
fn it_is_looked_for_only_where_it_could_help() {
    let (mut world, small, big) = blocked([Some(1), Some(1)], 4);
    assert_eq!(world.explained(small[0]).moving, None, "it runs");
    let mut thinker = pinned(spec("thinker"));
    thinker.resources.cpu = CpuMilli(64_000);
    let thinker = world.submit(thinker).workload.id;
    assert_eq!(world.state_of(thinker), WorkloadState::Pending);
    assert_eq!(world.explained(thinker).moving, None, "it wants no GPU");
    assert!(world.explained(big).moving.is_some());

    let mut world = World::new();
    let [first, _] = ["a", "b"].map(|name| world.submit(share(name, 600)).workload.id);
    world.node("n1", 1);
    let explained = world.explained(first);
    assert_eq!(explained.reason.unwrap().token(), "AwaitingSolver");
    assert_eq!(explained.moving, None, "it fits");
}

/// Others use so much memory of the first GPU of the node.
fn foreign(world: &mut World, node: &str, gib: u64) {
    let gpu = GpuSample {
        external: Bytes(gib * GIB),
        ..GpuSample::default()
    };
    let sample = Sample {
        gpus: vec![gpu],
        ..Sample::default()
    };
    let node = name(node);
    let session = world.agents[&node].session;
    world.input(Input::Report {
        node,
        session,
        report: Report::Sample(sample),
    });
}

#[test]
fn a_proposal_that_the_state_does_not_bear_out_is_not_shown() {
    let mut world = World::new();
    world.node("n1", 1);
    world.node("n2", 1);
    world.on("n1", [movable(share("a", 400), 1), pinned(share("b", 400))]);
    world.on("n2", [pinned(share("c", 500))]);
    let big = world.submit(pinned(share("big", 550))).workload.id;
    assert_eq!(world.moving(big).moves.len(), 1, "in the room of `a`");
    // Now `a` and `b` have more memory than there is, and without `a` there is still too little.
    foreign(&mut world, "n1", 30);
    let moving = world.moving(big);
    assert_eq!((moving.moves.len(), moving.movable), (0, 1));
}

/// The proposal as steps.
fn steps(moving: &Moving, blocked: WorkloadId) -> (Vec<Step>, Step) {
    let moves = moving.moves.iter().map(|one| Step {
        workload: one.workload,
        placements: vec![one.to.clone()],
    });
    let placed = Step {
        workload: blocked,
        placements: moving.placements.clone(),
    };
    (moves.collect(), placed)
}

#[test]
fn an_answer_is_checked_on_the_state_before_it_is_shown() {
    let (mut world, _, big) = blocked([Some(60), Some(600)], 4);
    let shown = world.engine.posed(big, |engine, posed| {
        let mut placer = ByScore::new(engine.board.scorer(), posed.repair());
        let good = propose(posed.repair(), &mut placer, Bounds::default()).unwrap();
        let mut half = good.clone();
        half.steps.truncate(1);
        [good, half].map(|answer| engine.proposal(posed, &answer).is_some())
    });
    assert_eq!(
        shown,
        Some([true, false]),
        "half of the moves is too little"
    );
}

#[test]
fn a_place_is_free_only_when_who_has_it_has_moved() {
    let mut world = World::new();
    for node in ["n1", "n2", "n3"] {
        world.node(node, 1);
    }
    world.on("n1", [movable(share("first", 600), 1)]);
    world.on(
        "n2",
        [
            movable(share("second", 300), 1),
            pinned(share("stays", 350)),
        ],
    );
    world.on("n3", [pinned(share("third", 500))]);
    let big = world.submit(pinned(share("big", 700))).workload.id;
    // The second makes room for the first, and that for the big one.
    let (moves, placed) = steps(&world.moving(big), big);
    let turned = [moves[1].clone(), moves[0].clone()];
    let checked = |moves: &[Step]| {
        let engine = &world.engine;
        check::moves(&engine.state, &engine.live, &engine.policy, moves, &placed)
    };
    assert_eq!(checked(&moves), Ok(()));
    let early = checked(&turned);
    assert!(
        matches!(early, Err(Rejection::GpuComputeOver { .. })),
        "{early:?}"
    );
}

#[test]
fn moves_are_checked_one_by_one_and_every_wrong_one_is_refused() {
    let (mut world, _, big) = blocked([Some(600), Some(60)], 4);
    let rest = world.on("n2", [pinned(whole("more", 1, 1))])[0];
    let (good, placed) = steps(&world.moving(big), big);
    let refused = |moves: &[Step], blocked: &Step| {
        let engine = &world.engine;
        check::moves(&engine.state, &engine.live, &engine.policy, moves, blocked)
    };
    assert_eq!(refused(&good, &placed), Ok(()));
    let gone = |result| matches!(result, Err(Rejection::WholeGpuShared(_)));
    assert!(
        gone(refused(&good[..1], &placed)),
        "the other is still there"
    );
    let twice = [good[0].clone(), good[0].clone()];
    assert_eq!(
        refused(&twice, &placed),
        Err(Rejection::Twice(good[0].workload))
    );
    let mut crowded = good.clone();
    crowded[1].placements[0].gpus = good[0].placements[0].gpus.clone();
    assert!(gone(refused(&crowded, &placed)), "both on one GPU");
    let mut of_pinned = good.clone();
    of_pinned[0].workload = rest;
    of_pinned[0].placements[0].slice.workload = rest;
    assert_eq!(
        refused(&of_pinned, &placed),
        Err(Rejection::NotMovable(rest))
    );
    let mut unknown = good.clone();
    unknown[0].workload = WorkloadId(999);
    let wanted = Err(Rejection::UnknownWorkload(WorkloadId(999)));
    assert_eq!(refused(&unknown, &placed), wanted);
    let wanted = Err(Rejection::PlacedAlready(rest));
    let runs = Step {
        workload: rest,
        ..placed
    };
    assert_eq!(refused(&good, &runs), wanted);
}

/// Shares of 400, 200 and twice 350 on two GPUs, and room for 600 and 700 elsewhere: only one way of
/// placing them anew works, and the search does not find it. Somebody wants both GPUs.
fn puzzle() -> (World, WorkloadId) {
    let mut world = World::new();
    world.node("n1", 2);
    world.node("n2", 1);
    world.node("n3", 1);
    let shares = [("a", 400), ("b", 350), ("c", 200), ("d", 350)];
    world.on(
        "n1",
        shares.map(|(name, milli)| movable(share(name, milli), 10)),
    );
    world.on("n2", [pinned(share("e", 400))]);
    world.on("n3", [pinned(share("f", 300))]);
    let big = world.submit(pinned(whole("big", 2, 1))).workload.id;
    (world, big)
}

/// An answer in which everybody moves, by trying all places.
fn by_force(repair: &Repair) -> Option<Repaired> {
    let places: Vec<Slot> = repair
        .bare
        .iter()
        .enumerate()
        .flat_map(|(node, room)| {
            let gpus = 0..room.gpus.len();
            gpus.map(move |gpu| Slot {
                node,
                gpus: vec![gpu],
            })
        })
        .collect();
    let count = places
        .len()
        .pow(u32::try_from(repair.residents.len()).unwrap());
    (0..count).find_map(|number| {
        let steps = (0..repair.residents.len()).map(|resident| {
            let digit = number / places.len().pow(u32::try_from(resident).unwrap());
            let to = Some(places[digit % places.len()].clone());
            crate::problem::repair::Step { resident, to }
        });
        let steps: Vec<_> = steps.collect();
        let cost = steps.iter().map(|step| repair.cost(step).unwrap()).sum();
        let at = (0..repair.bare.len()).map(|node| Slot {
            node,
            gpus: vec![0, 1],
        });
        let answers = at.map(|slot| Repaired {
            steps: steps.clone(),
            slots: vec![slot],
            cost,
        });
        let mut holding = answers.filter(|answer| verify(repair, answer).is_ok());
        holding.next()
    })
}

#[test]
fn the_exact_model_is_asked_where_the_search_finds_nothing_and_its_answer_is_told() {
    let (mut world, big) = puzzle();
    let reply = world.ask_why(big);
    assert_eq!(world.told(reply), None, "it waits for the model");
    let (_, few) = world.asked();
    let answer = by_force(&few).expect("there is a way");
    let second = world.ask_why(big);
    let second = world.told(second).expect("one waits at a time").moving;
    assert_eq!(second.unwrap().moves, []);
    world.answer(Some(answer));
    let moving = world.told(reply).unwrap().moving.unwrap();
    assert_eq!((moving.moves.len(), moving.cost_seconds), (4, 40));
    assert_eq!(moving.placements[0].node.as_str(), "n1");
}

#[test]
fn an_answer_of_the_model_that_does_not_hold_is_not_told() {
    let wrongs: [fn(&mut Repaired); 5] = [
        |answer| drop(answer.steps.pop()),
        |answer| answer.steps[0].resident = 99,
        |answer| answer.steps[0].to.as_mut().unwrap().node = 99,
        |answer| answer.slots.clear(),
        |answer| answer.cost = 0,
    ];
    for wrong in wrongs {
        let (mut world, big) = puzzle();
        let reply = world.ask_why(big);
        let mut answer = by_force(&world.asked().1).unwrap();
        wrong(&mut answer);
        world.answer(Some(answer));
        let moving = world.told(reply).unwrap().moving.unwrap();
        assert_eq!((moving.moves.len(), moving.movable), (0, 4));
    }
}

#[test]
fn an_answer_to_what_has_changed_since_is_not_told() {
    let (mut world, big) = puzzle();
    let reply = world.ask_why(big);
    let answer = by_force(&world.asked().1);
    foreign(&mut world, "n2", 20);
    world.answer(answer.clone());
    let moving = world.told(reply).unwrap().moving.unwrap();
    assert_eq!(moving.moves, [], "n2 has less memory now");

    let (mut world, big) = puzzle();
    let reply = world.ask_why(big);
    world.node("n4", 8);
    world.answer(answer);
    let told = world.told(reply).unwrap();
    assert_eq!((told.reason, told.moving), (None, None), "it has a place");
}

#[test]
fn an_explanation_does_not_wait_longer_than_a_person_would() {
    let (mut world, big) = puzzle();
    let reply = world.ask_why(big);
    let due = world.engine.next_deadline().unwrap();
    assert!(due <= world.now.boot_ns + SECOND_NS);
    world.passes(due - world.now.boot_ns);
    let moving = world.told(reply).expect("it was given up").moving;
    assert_eq!(moving.unwrap().moves, []);
    let late = by_force(&world.asked().1);
    world.answer(late);
    assert_eq!(world.told(reply), None, "one reply a request");
}
