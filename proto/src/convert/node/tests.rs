//! Inventories come back as they were sent; hostile ones are refused by field.

use super::*;
use dovetail_model::label::{LabelKey, LabelValue, Taint, TaintEffect};

fn gpu(index: u32, name: &str, gib: u64) -> GpuInfo {
    GpuInfo {
        uuid: GpuUuid(format!("GPU-{index}").into()),
        index,
        name: name.to_owned(),
        model: GpuModel::of(name, Bytes(gib << 30)),
        memory: Bytes(gib << 30),
        health: GpuHealth::Ok,
        share_level: Level::Shared,
        whole_level: Level::Isolated,
        pci_bus_id: "00000000:17:00.0".to_owned(),
    }
}

fn key(text: &str) -> LabelKey {
    LabelKey::new(text).unwrap()
}

fn value(text: &str) -> LabelValue {
    LabelValue::new(text).unwrap()
}

fn taint(name: &str, text: &str) -> Taint {
    Taint {
        key: key(name),
        value: value(text),
        effect: TaintEffect::NoSchedule,
    }
}

fn good() -> Inventory {
    Inventory {
        node: NodeName::new("n1").unwrap(),
        boot_id: BootId("b1".into()),
        agent_version: "0.1.0".to_owned(),
        cpu: CpuMilli(64_000),
        memory: Bytes(512 << 30),
        gpus: vec![gpu(0, "NVIDIA H100 80GB HBM3", 80), gpu(1, "NVIDIA L4", 24)],
        level: Level::Shared,
        enforces: vec!["cpu".to_owned()],
        not_enforced: vec!["memory: no root".to_owned()],
        labels: [(key("example.com/pool"), value("train"))].into(),
        taints: vec![taint("dedicated", "ml"), taint("slow", "")],
    }
}

#[test]
fn an_inventory_comes_back_as_it_was_sent() {
    assert_eq!(inventory(inventory_to_wire(&good())), Ok(good()));
}

#[test]
fn the_model_follows_from_name_and_memory_and_gpus_are_in_order() {
    let mut wire = inventory_to_wire(&good());
    wire.gpus.reverse();
    wire.gpus[0].model = "H100-80".to_owned();
    let read = inventory(wire).unwrap();
    let models: Vec<&str> = read.gpus.iter().map(|gpu| gpu.model.as_str()).collect();
    assert_eq!(models, ["H100-80", "L4-24"]);
}

#[test]
fn taints_are_in_order_of_their_keys_whatever_order_they_came_in() {
    let mut wire = inventory_to_wire(&good());
    wire.taints.reverse();
    assert_eq!(inventory(wire), Ok(good()));
}

#[test]
fn a_lost_gpu_need_not_tell_its_size() {
    let mut wire = inventory_to_wire(&good());
    wire.gpus[1].memory_bytes = 0;
    wire.gpus[1].health = v1::GpuHealth::Lost.into();
    assert!(inventory(wire).is_ok());
}

/// A way to spoil an inventory, and the fields that must be named.
type Row = (fn(&mut v1::Inventory), &'static [&'static str]);

const ROWS: [Row; 24] = [
    (|w| w.node = "../x".into(), &["node"]),
    (|w| w.boot_id.clear(), &["boot_id"]),
    (|w| w.boot_id = "x".repeat(5000), &["boot_id"]),
    (|w| w.agent_version = "\n".into(), &["agent_version"]),
    (
        |w| w.allocatable_cpu_milli = u64::MAX,
        &["allocatable_cpu_milli"],
    ),
    (
        |w| w.allocatable_memory_bytes = u64::MAX,
        &["allocatable_memory_bytes"],
    ),
    (|w| w.level = v1::Level::Isolated.into(), &["level"]),
    (|w| w.level = 0, &["level"]),
    (|w| w.enforces = vec![String::new(); 65], &["enforces"]),
    (
        |w| w.not_enforced = vec!["x".repeat(4097)],
        &["not_enforced[0]"],
    ),
    (
        |w| drop(w.labels.insert("a b".into(), String::new())),
        &["labels[\"a b\"]"],
    ),
    (
        |w| drop(w.labels.insert("a".into(), "x/y".into())),
        &["labels[\"a\"]"],
    ),
    (
        |w| w.labels = (0..65).map(|i| (format!("l{i}"), String::new())).collect(),
        &["labels"],
    ),
    (|w| w.taints[0].key.clear(), &["taints[0].key"]),
    (|w| w.taints[1].key = "dedicated".into(), &["taints[1].key"]),
    (
        |w| {
            w.taints[0].value = "-".into();
            w.taints[1].effect = 3;
        },
        &["taints[0].value", "taints[1].effect"],
    ),
    (|w| w.taints = vec![v1::Taint::default(); 17], &["taints"]),
    (|w| w.gpus = vec![v1::Gpu::default(); 65], &["gpus"]),
    (|w| w.gpus[1].uuid = "GPU-0".into(), &["gpus[1].uuid"]),
    (|w| w.gpus[1].index = 0, &["gpus[1].index"]),
    (|w| w.gpus[0].index = 64, &["gpus[0].index"]),
    (|w| w.gpus[0].memory_bytes = 0, &["gpus[0].memory_bytes"]),
    (|w| w.gpus[0].health = 77, &["gpus[0].health"]),
    (
        |w| {
            w.gpus[0].share_level = 0;
            w.gpus[1].name = "\u{1b}[31m".into();
        },
        &["gpus[0].share_level", "gpus[1].name"],
    ),
];

#[test]
fn every_bad_field_is_named() {
    for (spoil, expected) in ROWS {
        let mut wire = inventory_to_wire(&good());
        spoil(&mut wire);
        let violations = inventory(wire).expect_err(expected[0]).0;
        let fields: Vec<String> = violations.into_iter().map(|v| v.field).collect();
        let expected: Vec<String> = expected.iter().map(|f| format!("inventory.{f}")).collect();
        assert_eq!(fields, expected);
    }
}

#[test]
fn sixty_four_gpus_bad_in_every_field_give_a_bounded_answer() {
    let mut wire = inventory_to_wire(&good());
    wire.gpus = vec![
        v1::Gpu {
            index: 99,
            uuid: "\0".repeat(9999),
            ..Default::default()
        };
        64
    ];
    let violations = inventory(wire).unwrap_err().0;
    assert!(violations.len() <= crate::convert::VIOLATIONS_MAX);
    let size: usize = violations
        .iter()
        .map(|v| v.field.len() + v.description.len())
        .sum();
    assert!(size < 8 << 10, "{size}");
}

#[test]
fn a_hello_names_node_and_boot() {
    let sent = Hello {
        node: NodeName::new("n1").unwrap(),
        boot_id: BootId("b1".into()),
    };
    assert_eq!(hello(&hello_to_wire(&sent)), Ok(sent));
    let fields: Vec<String> = hello(&v1::Hello::default())
        .unwrap_err()
        .0
        .into_iter()
        .map(|v| v.field)
        .collect();
    assert_eq!(fields, ["hello.node", "hello.boot_id"]);
}
