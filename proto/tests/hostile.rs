//! Bytes spoiled on the way never panic a conversion, and whatever is taken is within its bounds.

use dovetail_model::workload::{GANG_SIZE, WorkloadSpec};
use dovetail_proto::{
    convert::{VIOLATIONS_MAX, Violations, grant, node, report, workload},
    sample::SampleDecoder,
    v1,
};
use proptest::{collection, prelude::*};
use prost::Message;

/// Puts random bytes over a valid message, so that much of it still decodes.
fn spoiled(valid: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    for (position, byte) in changes {
        let position = position % bytes.len();
        bytes[position] = *byte;
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    collection::vec((any::<usize>(), any::<u8>()), 0..6)
}

fn bounded<T>(read: Result<T, Violations>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(violations) => {
            assert!((1..=VIOLATIONS_MAX).contains(&violations.0.len()));
            None
        }
    }
}

fn spec_bytes() -> Vec<u8> {
    let mut spec = WorkloadSpec::example("train");
    spec.env.insert("A".to_owned(), "b".to_owned());
    spec.max_runtime_ns = Some(5_000_000_000);
    workload::spec_to_wire(&spec).encode_to_vec()
}

fn grants_bytes() -> Vec<u8> {
    let placement = v1::Placement {
        slice_id: "w1-1-0".to_owned(),
        node: "n1".to_owned(),
        cpu_milli: 1000,
        memory_bytes: 1 << 30,
        gpus: vec![v1::GpuGrant {
            uuid: "GPU-a".to_owned(),
            index: 0,
            compute_milli: 300,
            memory_bytes: 1 << 30,
        }],
    };
    let grant = v1::Grant {
        placement: Some(placement),
        spec: Some(workload::spec_to_wire(&WorkloadSpec::example("train"))),
        gang_nodes: vec!["n1".to_owned()],
        ..Default::default()
    };
    v1::GrantSet {
        cluster_id: "c1".to_owned(),
        grants: vec![grant],
        releases: vec!["w2-1-0".to_owned()],
        ..Default::default()
    }
    .encode_to_vec()
}

fn inventory_bytes() -> Vec<u8> {
    let gpu = v1::Gpu {
        uuid: "GPU-a".to_owned(),
        name: "NVIDIA L4".to_owned(),
        memory_bytes: 24 << 30,
        health: 1,
        share_level: 2,
        whole_level: 7,
        ..Default::default()
    };
    v1::Inventory {
        node: "n1".to_owned(),
        boot_id: "b".to_owned(),
        level: 2,
        gpus: vec![gpu],
        ..Default::default()
    }
    .encode_to_vec()
}

fn report_bytes() -> Vec<u8> {
    let exit = v1::ExitRecord {
        cause: 1,
        ended_at: Some(prost_types::Timestamp {
            seconds: 1,
            nanos: 2,
        }),
        output_tail: "tail".to_owned(),
        ..Default::default()
    };
    let status = v1::SliceStatus {
        slice_id: "w1-1-0".to_owned(),
        state: 5,
        exit: Some(exit),
        level: 2,
    };
    v1::SliceReport {
        slices: vec![status],
        ..Default::default()
    }
    .encode_to_vec()
}

#[test]
fn the_messages_that_are_spoiled_are_valid_before() {
    workload::spec(v1::WorkloadSpec::decode(&*spec_bytes()).unwrap()).unwrap();
    grant::grant_set(v1::GrantSet::decode(&*grants_bytes()).unwrap()).unwrap();
    node::inventory(v1::Inventory::decode(&*inventory_bytes()).unwrap()).unwrap();
    report::slice_report(v1::SliceReport::decode(&*report_bytes()).unwrap()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_spoiled_workload_is_valid_or_refused(changes in changes()) {
        if let Ok(wire) = v1::WorkloadSpec::decode(&*spoiled(&spec_bytes(), &changes))
            && let Some(spec) = bounded(workload::spec(wire))
        {
            prop_assert!(GANG_SIZE.contains(&spec.gang_size) && !spec.argv.is_empty());
            prop_assert_eq!(workload::spec(workload::spec_to_wire(&spec)), Ok(spec));
        }
    }

    #[test]
    fn a_spoiled_desired_state_is_valid_or_refused(changes in changes()) {
        if let Ok(wire) = v1::GrantSet::decode(&*spoiled(&grants_bytes(), &changes))
            && let Some(set) = bounded(grant::grant_set(wire))
        {
            prop_assert_eq!(grant::grant_set(grant::grant_set_to_wire(&set)), Ok(set));
        }
    }

    #[test]
    fn a_spoiled_inventory_is_valid_or_refused(changes in changes()) {
        if let Ok(wire) = v1::Inventory::decode(&*spoiled(&inventory_bytes(), &changes))
            && let Some(inventory) = bounded(node::inventory(wire))
        {
            let again = node::inventory(node::inventory_to_wire(&inventory));
            prop_assert_eq!(again, Ok(inventory));
        }
    }

    #[test]
    fn a_spoiled_report_is_valid_or_refused(changes in changes()) {
        if let Ok(wire) = v1::SliceReport::decode(&*spoiled(&report_bytes(), &changes))
            && let Some(read) = bounded(report::slice_report(wire))
        {
            prop_assert_eq!(report::slice_report(report::slice_report_to_wire(&read)), Ok(read));
        }
    }

    #[test]
    fn random_bytes_are_no_sample_or_a_valid_one(bytes in collection::vec(any::<u8>(), 0..200)) {
        if let Ok(wire) = v1::Sample::decode(&*bytes)
            && let Ok(sample) = SampleDecoder::default().decode(&wire)
        {
            prop_assert!(sample.gpus.len() <= 64);
        }
    }
}
