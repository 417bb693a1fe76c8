//! Reports come back as they were sent; hostile ones are refused by field.

use super::*;

fn exited(cause: ExitCause) -> SliceState {
    SliceState::Exited(ExitRecord {
        cause,
        started_at: Some(WallNs(5)),
        ended_at: WallNs(1_700_000_000_123_456_789),
        output_tail: "bye\n".to_owned(),
    })
}

fn good() -> SliceReport {
    let states = [
        SliceState::Waiting,
        SliceState::Starting,
        SliceState::Running,
        SliceState::Stopping,
        exited(ExitCause::Exit(3)),
        exited(ExitCause::Signal(9)),
        exited(ExitCause::Oom),
        exited(ExitCause::Timeout),
        exited(ExitCause::StartFailed("no such file".to_owned())),
        exited(ExitCause::NodeLost),
        exited(ExitCause::Evicted),
    ];
    let slices = states
        .into_iter()
        .enumerate()
        .map(|(index, state)| SliceStatus {
            slice: format!("w{index}-1-0").parse().unwrap(),
            state,
            level: dovetail_model::resources::Level::Shared,
        });
    SliceReport {
        obeyed: Epoch {
            term: Term(3),
            revision: Revision(9),
        },
        slices: slices.collect(),
        orphaned: vec!["w99-1-0".to_owned()],
    }
}

#[test]
fn a_report_comes_back_as_it_was_sent() {
    assert_eq!(slice_report(slice_report_to_wire(&good())), Ok(good()));
}

/// A way to spoil a report, and the field that must be named.
type Row = (fn(&mut v1::SliceReport), &'static str);

const ROWS: [Row; 13] = [
    (
        |w| w.slices[1].slice_id = "w0-1-0".into(),
        "slices[1].slice_id",
    ),
    (
        |w| w.slices[1].slice_id = "../etc".into(),
        "slices[1].slice_id",
    ),
    (|w| w.slices[1].state = 0, "slices[1].state"),
    (|w| w.slices[1].state = 6, "slices[1].state"),
    (|w| w.slices[1].level = 0, "slices[1].level"),
    (|w| w.slices[4].exit = None, "slices[4].exit"),
    (|w| exit(w, 4).code = 256, "slices[4].exit.code"),
    (|w| exit(w, 5).signal = 0, "slices[5].exit.signal"),
    (|w| exit(w, 5).cause = 8, "slices[5].exit.cause"),
    (|w| exit(w, 5).ended_at = None, "slices[5].exit.ended_at"),
    (
        |w| exit(w, 5).started_at.as_mut().unwrap().seconds = -1,
        "slices[5].exit.started_at",
    ),
    (
        |w| w.slices = vec![v1::SliceStatus::default(); 2049],
        "slices",
    ),
    (|w| w.orphaned = vec![String::new(); 1025], "orphaned"),
];

fn exit(wire: &mut v1::SliceReport, index: usize) -> &mut v1::ExitRecord {
    wire.slices[index].exit.as_mut().unwrap()
}

#[test]
fn every_bad_field_is_named() {
    for (spoil, field) in ROWS {
        let mut wire = slice_report_to_wire(&good());
        spoil(&mut wire);
        let violations = slice_report(wire).expect_err(field).0;
        assert_eq!(violations[0].field, format!("slices.{field}"));
        assert_eq!(violations.len(), 1, "{violations:?}");
    }
}

#[test]
fn a_long_output_keeps_its_end_and_a_long_message_its_beginning() {
    let mut wire = slice_report_to_wire(&good());
    exit(&mut wire, 4).output_tail = format!("{}end", "ä".repeat(5000));
    exit(&mut wire, 8).message = format!("why{}", "ä".repeat(5000));
    let report = slice_report(wire).unwrap();
    let SliceState::Exited(record) = &report.slices[4].state else {
        panic!()
    };
    assert!(record.output_tail.ends_with("äend") && record.output_tail.len() <= 4096);
    let SliceState::Exited(record) = &report.slices[8].state else {
        panic!()
    };
    let ExitCause::StartFailed(why) = &record.cause else {
        panic!()
    };
    assert!(why.starts_with("whyä") && why.len() <= 4096);
}

#[test]
fn usage_comes_back_as_it_was_sent() {
    let rows = vec![SliceUsage {
        slice: "w1-1-0".parse().unwrap(),
        cpu_ns: u64::MAX,
        elapsed_ns: 7,
        memory: Bytes(8),
    }];
    assert_eq!(usage(usage_to_wire(&rows)), Ok(rows.clone()));
    let mut wire = usage_to_wire(&rows);
    wire.slices[0].slice_id = "w1".to_owned();
    assert_eq!(
        usage(wire).unwrap_err().0[0].field,
        "usage.slices[0].slice_id"
    );
    let wire = v1::Usage {
        slices: vec![v1::SliceUsage::default(); 2049],
    };
    assert_eq!(usage(wire).unwrap_err().0[0].field, "usage.slices");
}
