//! Nodes for people.

use super::{age, bytes, columns, cpu, gpu, labels, pairs, short};
use dovetail_proto::v1::{Gpu, Node, NodeState, Taint};

/// A column that is shown where some node has it: its headline, and a node's cell.
type ColumnOf = (&'static str, fn(&Node) -> String);

/// One line each; labels and taints have a column where a node has some.
pub(crate) fn nodes(list: &[Node]) -> String {
    if list.is_empty() {
        return "no nodes; start `dovetail-agent` on a host to enrol it\n".to_owned();
    }
    let mut header = vec![
        "NODE",
        "STATE",
        "GPUS",
        "FREE",
        "CPU FREE",
        "MEMORY FREE",
        "SLICES",
        "HEARD",
    ];
    let mut rows: Vec<Vec<String>> = list.iter().map(row).collect();
    let shown: [ColumnOf; 2] = [
        ("LABELS", |node| labels(&node.labels).replace(", ", ",")),
        ("TAINTS", |node| taints(node).replace(", ", ",")),
    ];
    for (name, show) in shown {
        let cells: Vec<String> = list.iter().map(show).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            header.push(name);
            let rows = rows.iter_mut().zip(cells);
            rows.for_each(|(row, cell)| {
                row.push(if cell.is_empty() {
                    "-".to_owned()
                } else {
                    cell
                });
            });
        }
    }
    columns(&header, rows)
}

fn row(node: &Node) -> Vec<String> {
    let free: u32 = node
        .gpus
        .iter()
        .map(|gpu| 1000_u32.saturating_sub(gpu.used_milli))
        .sum();
    vec![
        node.name.clone(),
        state(node),
        models(&node.gpus),
        if node.gpus.is_empty() {
            "-".to_owned()
        } else {
            gpu(free)
        },
        cpu(node
            .allocatable_cpu_milli
            .saturating_sub(node.used_cpu_milli)),
        bytes(
            node.allocatable_memory_bytes
                .saturating_sub(node.used_memory_bytes),
        ),
        node.slice_count.to_string(),
        age(node.last_report_at),
    ]
}

fn state(node: &Node) -> String {
    let mut text = short(node.state().as_str_name(), "NODE_STATE_");
    if node.cordoned {
        text += ",CORDONED";
    }
    text
}

/// `dedicated=ml:NoSchedule`, as an agent's operator would write it.
fn taints(node: &Node) -> String {
    let shown: Vec<String> = node.taints.iter().map(taint).collect();
    shown.join(", ")
}

fn taint(taint: &Taint) -> String {
    let equals = if taint.value.is_empty() { "" } else { "=" };
    let effect = short(taint.effect().as_str_name(), "TAINT_EFFECT_");
    let effect: String = effect.split('_').map(capitalised).collect();
    format!("{}{equals}{}:{effect}", taint.key, taint.value)
}

/// `Schedule` from `SCHEDULE`.
fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(word.len().min(1));
    first.to_owned() + &rest.to_lowercase()
}

/// `8x H100-80`, or each model with its count.
pub(super) fn models(gpus: &[Gpu]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for gpu in gpus {
        match counts.iter_mut().find(|(model, _)| *model == gpu.model) {
            Some((_, count)) => *count += 1,
            None => counts.push((&gpu.model, 1)),
        }
    }
    let shown: Vec<String> = counts
        .iter()
        .map(|(model, count)| format!("{count}x {model}"))
        .collect();
    if shown.is_empty() {
        "-".to_owned()
    } else {
        shown.join(" + ")
    }
}

/// Everything about one node.
pub(crate) fn node(node: &Node) -> String {
    let measured =
        |value: Option<u64>, show: fn(u64) -> String| value.map(show).unwrap_or_default();
    let mut text = pairs(&[
        ("node", node.name.clone()),
        ("state", state(node)),
        ("cordoned", node.cordon_reason.clone()),
        ("labels", labels(&node.labels)),
        ("taints", taints(node)),
        ("agent", node.agent_version.clone()),
        ("boot", node.boot_id.clone()),
        ("heard", age(node.last_report_at) + " ago"),
        (
            "cpu",
            format!(
                "{} of {} given away",
                cpu(node.used_cpu_milli),
                cpu(node.allocatable_cpu_milli)
            ),
        ),
        ("cpu in use", measured(node.measured_cpu_milli, cpu)),
        (
            "memory",
            format!(
                "{} of {} given away",
                bytes(node.used_memory_bytes),
                bytes(node.allocatable_memory_bytes)
            ),
        ),
        ("memory in use", measured(node.measured_memory_bytes, bytes)),
        ("enforces", node.enforces.join(", ")),
        ("not enforced", node.not_enforced.join("; ")),
        ("orphaned", node.orphaned_slices.join(", ")),
    ]);
    if node.state() == NodeState::Unreachable {
        text += "\nIts slices are unknown and still counted. If it will not come back: dovetail node forget ";
        text += &format!("{}\n", node.name);
    }
    if !node.gpus.is_empty() {
        text += "\n";
        let header = [
            "GPU",
            "MODEL",
            "HEALTH",
            "GIVEN",
            "MEMORY GIVEN",
            "OF",
            "BUSY",
            "IN USE",
            "POWER",
            "SLICES",
        ];
        text += &columns(&header, node.gpus.iter().map(gpu_row));
    }
    text
}

fn gpu_row(gpu_info: &Gpu) -> Vec<String> {
    let dash = || "-".to_owned();
    vec![
        format!("#{}", gpu_info.index),
        gpu_info.model.clone(),
        short(gpu_info.health().as_str_name(), "GPU_HEALTH_").to_lowercase(),
        gpu(gpu_info.used_milli),
        bytes(gpu_info.used_memory_bytes),
        bytes(gpu_info.memory_bytes),
        gpu_info
            .utilization_percent
            .map_or_else(dash, |percent| format!("{percent}%")),
        gpu_info.measured_memory_bytes.map_or_else(dash, bytes),
        gpu_info
            .power_milliwatts
            .map_or_else(dash, |mw| format!("{} W", mw / 1000)),
        gpu_info
            .slices
            .iter()
            .map(|slice| slice.workload_name.as_str())
            .collect::<Vec<_>>()
            .join(" "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_proto::v1::TaintEffect;

    fn named(name: &str) -> Node {
        Node {
            name: name.to_owned(),
            ..Node::default()
        }
    }

    #[test]
    fn labels_and_taints_have_columns_only_where_a_node_has_some() {
        let mut list = [named("a"), named("b")];
        assert!(!nodes(&list).contains("LABELS"));
        list[1].labels = [("zone", "x"), ("disk", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let text = nodes(&list);
        assert!(
            text.contains("LABELS") && !text.contains("TAINTS"),
            "{text}"
        );
        assert!(text.lines().nth(1).unwrap().ends_with('-'), "{text}");
        assert!(
            text.lines().nth(2).unwrap().ends_with("disk=,zone=x"),
            "{text}"
        );
        list[0].taints = vec![Taint {
            key: "slow".to_owned(),
            value: String::new(),
            effect: TaintEffect::NoSchedule.into(),
        }];
        let text = nodes(&list);
        assert!(
            text.lines().nth(1).unwrap().ends_with("slow:NoSchedule"),
            "{text}"
        );
        assert!(node(&list[1]).contains("disk=, zone=x"));
    }
}
