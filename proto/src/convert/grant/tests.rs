//! Desired states come back as they were sent; malformed ones are refused by field.

use super::*;
use dovetail_model::{id::NodeName, workload::WorkloadSpec};
use std::sync::Arc;

fn grant(slice: &str) -> Grant {
    let slice: SliceId = slice.parse().unwrap();
    let node = NodeName::new("n1").unwrap();
    Grant {
        placement: Placement {
            slice,
            node: node.clone(),
            cpu: CpuMilli(1000),
            memory: Bytes(1 << 30),
            gpus: vec![GpuGrant {
                uuid: GpuUuid("GPU-a".into()),
                index: 3,
                compute: GpuMilli(300),
                memory: Bytes(24 << 30),
            }],
        },
        spec: Arc::new(WorkloadSpec {
            gang_size: 2,
            ..WorkloadSpec::example("train")
        }),
        owner: Owner {
            uid: 1000,
            gid: 1000,
            groups: vec![44, 100],
        },
        gang_nodes: vec![node.clone(), node],
    }
}

fn good() -> GrantSet {
    let ids = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    GrantSet {
        cluster: ClusterId("c1".into()),
        epoch: Epoch {
            term: Term(2),
            revision: Revision(40),
        },
        grants: vec![grant("w1-1-0"), grant("w1-1-1")],
        releases: ids(&["w2-1-0"]),
        acknowledged_exits: ids(&["w3-2-0"]),
    }
}

#[test]
fn a_desired_state_comes_back_as_it_was_sent() {
    assert_eq!(grant_set(grant_set_to_wire(&good())), Ok(good()));
}

/// A way to spoil a desired state, and the field that must be named.
type Row = (fn(&mut v1::GrantSet), &'static str);

const ROWS: [Row; 17] = [
    (|w| w.cluster_id.clear(), "cluster_id"),
    (|w| w.releases = vec!["w2".into()], "releases[0]"),
    (
        |w| w.acknowledged_exits = vec!["x".into()],
        "acknowledged_exits[0]",
    ),
    (|w| w.releases = vec![String::new(); 4097], "releases"),
    (|w| w.grants = vec![v1::Grant::default(); 1025], "grants"),
    (
        |w| w.grants[1] = w.grants[0].clone(),
        "grants[1].placement.slice_id",
    ),
    (
        |w| w.releases = vec!["w1-1-1".into()],
        "grants[1].placement.slice_id",
    ),
    (|w| w.grants[0].placement = None, "grants[0].placement"),
    (|w| w.grants[0].spec = None, "grants[0].spec"),
    (
        |w| w.grants[0].spec.as_mut().unwrap().name.clear(),
        "grants[0].spec.name",
    ),
    (|w| w.grants[0].rank = 1, "grants[0].rank"),
    (
        |w| w.grants[0].gang_nodes = vec!["A".into()],
        "grants[0].gang_nodes[0]",
    ),
    (|w| place(w).node = "/".into(), "grants[0].placement.node"),
    (|w| place(w).cpu_milli = 0, "grants[0].placement.cpu_milli"),
    (
        |w| place(w).memory_bytes = 1,
        "grants[0].placement.memory_bytes",
    ),
    (
        |w| place(w).gpus[0].compute_milli = 1001,
        "grants[0].placement.gpus[0].compute_milli",
    ),
    (
        |w| {
            let again = place(w).gpus[0].clone();
            place(w).gpus.push(again);
        },
        "grants[0].placement.gpus[1].uuid",
    ),
];

fn place(wire: &mut v1::GrantSet) -> &mut v1::Placement {
    wire.grants[0].placement.as_mut().unwrap()
}

#[test]
fn every_bad_field_is_named() {
    for (spoil, field) in ROWS {
        let mut wire = grant_set_to_wire(&good());
        spoil(&mut wire);
        let violations = grant_set(wire).expect_err(field).0;
        assert_eq!(violations[0].field, format!("grants.{field}"));
        assert_eq!(violations.len(), 1, "{violations:?}");
    }
}
