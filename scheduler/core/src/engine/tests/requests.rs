//! What callers may ask, and what they are told when they may not.

use super::*;

#[test]
fn an_accepted_workload_is_journaled_before_it_is_answered() {
    let mut world = World::new();
    let mutation = world.mutation("r1");
    let request = Request::Submit {
        mutation,
        spec: Box::new(spec("a")),
        owner: owner(1000),
    };
    let input = Input::Request {
        reply: ReplyId(9),
        caller: caller(1000, false),
        request,
    };
    let effects = world.engine.handle(input, world.now);
    let journal = effects
        .iter()
        .position(|e| matches!(e, Effect::Journal(Event::Submitted { .. })));
    let reply = effects
        .iter()
        .position(|e| matches!(e, Effect::Reply { .. }));
    assert!(journal.unwrap() < reply.unwrap());
    world.carry_out(effects);
}

#[test]
fn the_same_request_twice_is_one_workload() {
    let mut world = World::new();
    world.node("n1", 8);
    let first = workload(world.try_submit(1000, "r1", share("a", 300)).unwrap());
    let again = workload(world.try_submit(1000, "r1", share("a", 300)).unwrap());
    assert_eq!(first.workload.id, again.workload.id);
    assert_eq!(world.engine.state().workloads().len(), 1);
}

#[test]
fn the_same_request_id_with_another_body_is_refused() {
    let mut world = World::new();
    world.try_submit(1000, "r1", spec("a")).unwrap();
    let mut mutation = world.mutation("r1");
    mutation.digest = "other".to_owned();
    let request = Request::Submit {
        mutation,
        spec: Box::new(spec("b")),
        owner: owner(1000),
    };
    let refusal = world.ask(caller(1000, false), request).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::RequestIdReused {
            request_id: "r1".to_owned()
        }
    );
}

#[test]
fn request_ids_of_two_tenants_do_not_meet() {
    let mut world = World::new();
    world.try_submit(1000, "r1", spec("a")).unwrap();
    world.try_submit(1001, "r1", spec("a")).unwrap();
    assert_eq!(world.engine.state().workloads().len(), 2);
}

#[test]
fn checking_only_changes_nothing() {
    let mut world = World::new();
    world.node("n1", 8);
    let hash = world.engine.state().hash();
    let mut mutation = world.mutation("r1");
    mutation.validate_only = true;
    let request = Request::Submit {
        mutation,
        spec: Box::new(spec("a")),
        owner: owner(1000),
    };
    let answer = world.ask(caller(1000, false), request).unwrap();
    assert!(matches!(answer, Answer::Workload { workload: None, .. }));
    assert_eq!(world.engine.state().hash(), hash);
}

#[test]
fn a_name_is_taken_while_its_workload_lives() {
    let mut world = World::new();
    let first = world.submit(spec("a"));
    let refusal = world.try_submit(1000, "r2", spec("a")).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::NameTaken {
            name: name("a"),
            by: first.workload.id
        }
    );
    world.cancel(first.workload.id);
    world.try_submit(1000, "r3", spec("a")).unwrap();
}

#[test]
fn what_no_node_could_hold_is_refused_at_once() {
    let mut world = World::new();
    world.node("n1", 8);
    let refusal = world.try_submit(1000, "r1", whole("a", 9, 1)).unwrap_err();
    assert!(matches!(refusal, Refusal::NeverFits(_)), "{refusal:?}");
    let refusal = world.try_submit(1000, "r2", whole("a", 8, 2)).unwrap_err();
    assert!(matches!(refusal, Refusal::NeverFits(_)), "{refusal:?}");
    assert!(world.engine.state().workloads().is_empty());
}

#[test]
fn without_nodes_a_workload_waits_and_says_so() {
    let mut world = World::new();
    let view = world.submit(whole("a", 8, 1));
    assert_eq!(view.state, WorkloadState::Pending);
    assert_eq!(view.reason.unwrap().token(), "NoNodes");
    world.node("n1", 8);
    assert_eq!(world.state_of(view.workload.id), WorkloadState::Running);
}

#[test]
fn a_model_nobody_has_heard_of_is_an_error_and_one_nobody_has_is_not() {
    let mut world = World::new();
    world.submit({
        let mut spec = whole("a", 1, 1);
        spec.resources.gpu.as_mut().unwrap().models =
            vec![dovetail_model::gpu::ModelPattern::new("B200")];
        spec
    });
    let mut bad = whole("b", 1, 1);
    bad.resources.gpu.as_mut().unwrap().models =
        vec![dovetail_model::gpu::ModelPattern::new("H1000")];
    let refusal = world.try_submit(1000, "r2", bad).unwrap_err();
    let Refusal::Invalid(fields) = refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!(fields[0].0, "workload.resources.gpu.models[0]");
}

#[test]
fn work_does_not_run_as_root_or_as_somebody_else() {
    let mut world = World::new();
    let refusal = world.try_submit(0, "r1", spec("a")).unwrap_err();
    assert!(matches!(refusal, Refusal::Invalid(ref fields) if fields[0].0 == "workload.user"));
    let mutation = world.mutation("r2");
    let request = Request::Submit {
        mutation,
        spec: Box::new(spec("a")),
        owner: owner(1001),
    };
    let refusal = world.ask(caller(1000, false), request).unwrap_err();
    assert!(matches!(refusal, Refusal::Denied { .. }));
    let mutation = world.mutation("r3");
    let request = Request::Submit {
        mutation,
        spec: Box::new(spec("a")),
        owner: owner(1001),
    };
    world.ask(caller(0, true), request).unwrap();
}

#[test]
fn others_workloads_do_not_exist_for_a_tenant() {
    let mut world = World::new();
    let id = world.submit(spec("a")).workload.id;
    for reference in [WorkloadRef::Id(id), WorkloadRef::Name(name("a"))] {
        let mutation = world.mutation("c1");
        let stranger = caller(1001, false);
        let get = Request::Get {
            workload: reference.clone(),
        };
        assert!(matches!(
            world.ask(stranger.clone(), get),
            Err(Refusal::NotFound { .. })
        ));
        let cancel = Request::Cancel {
            mutation,
            workload: reference.clone(),
        };
        assert!(matches!(
            world.ask(stranger, cancel),
            Err(Refusal::NotFound { .. })
        ));
        let get = Request::Get {
            workload: reference,
        };
        assert!(world.ask(caller(0, true), get).is_ok());
    }
    let list = Request::List {
        filter: crate::input::Filter {
            limit: 10,
            ..Default::default()
        },
    };
    let Ok(Answer::Workloads { workloads, .. }) = world.ask(caller(1001, false), list) else {
        panic!()
    };
    assert!(workloads.is_empty());
}

#[test]
fn a_revision_that_moved_aborts() {
    let mut world = World::new();
    let mut mutation = world.mutation("r1");
    mutation.expected_revision = Some(dovetail_model::id::Revision(1));
    let request = Request::Submit {
        mutation,
        spec: Box::new(spec("a")),
        owner: owner(1000),
    };
    let refusal = world.ask(caller(1000, false), request).unwrap_err();
    assert!(matches!(refusal, Refusal::RevisionMoved { .. }));
}

#[test]
fn the_queue_has_an_end() {
    let mut world = World::with(Policy {
        pending_max: 2,
        ..Policy::default()
    });
    world.submit(spec("a"));
    world.submit(spec("b"));
    let refusal = world.try_submit(1000, "c", spec("c")).unwrap_err();
    assert_eq!(refusal, Refusal::QueueFull { limit: 2 });
}

#[test]
fn lists_have_pages_newest_first() {
    let mut world = World::new();
    for text in ["a", "b", "c"] {
        world.submit(spec(text));
    }
    let mut filter = crate::input::Filter {
        limit: 2,
        ..Default::default()
    };
    let mut names = vec![];
    loop {
        let list = Request::List {
            filter: filter.clone(),
        };
        let Ok(Answer::Workloads {
            workloads, next, ..
        }) = world.ask(caller(1000, false), list)
        else {
            panic!()
        };
        names.extend(workloads.iter().map(|w| w.workload.spec.name.to_string()));
        let Some(next) = next else { break };
        filter.before = Some(next);
    }
    assert_eq!(names, ["c", "b", "a"]);
}

#[test]
fn a_name_means_the_live_workload_and_else_the_newest_that_ended() {
    let mut world = World::new();
    let by_name = || Request::Get {
        workload: WorkloadRef::Name(name("a")),
    };
    let first = world.submit(spec("a")).workload.id;
    world.cancel(first);
    let ended = workload(world.ask(caller(1000, false), by_name()).unwrap());
    assert_eq!(ended.workload.id, first);
    let second = workload(world.try_submit(1000, "again", spec("a")).unwrap())
        .workload
        .id;
    let live = workload(world.ask(caller(1000, false), by_name()).unwrap());
    assert_eq!(live.workload.id, second);
    assert!(world.ask(caller(1001, false), by_name()).is_err());
}
