//! The slice map: one cell of eight marks per GPU, one letter per workload.

use super::{gpu, node::models};
use dovetail_model::id::SliceId;
use dovetail_proto::v1::{Gpu, GpuHealth, GpuSlice, Node};

/// Workload names with their letters, in the order they came.
type Letters = Vec<(String, char)>;

/// Marks of one GPU: each is an eighth.
const MARKS: u32 = 8;
const FREE: char = '·';
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Every node a line, every GPU a cell, and below what each letter is.
pub(crate) fn slice_map(nodes: &[Node]) -> String {
    let letters = letters(nodes);
    let with_gpus: Vec<&Node> = nodes.iter().filter(|node| !node.gpus.is_empty()).collect();
    let name_width = with_gpus
        .iter()
        .map(|node| node.name.len())
        .max()
        .unwrap_or(0);
    let model_width = with_gpus
        .iter()
        .map(|node| models(&node.gpus).len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for node in &with_gpus {
        let cells: Vec<String> = node.gpus.iter().map(|gpu| cell(gpu, &letters)).collect();
        let used: u32 = node.gpus.iter().map(|gpu| gpu.used_milli).sum();
        let state = match (node.cordoned, node.state()) {
            (true, _) => "  cordoned",
            (_, dovetail_proto::v1::NodeState::Unreachable) => "  unreachable",
            _ => "",
        };
        text += &format!(
            "{:name_width$}  {:model_width$}  {}  {} of {} given{state}\n",
            node.name,
            models(&node.gpus),
            cells.join(" "),
            gpu(used),
            node.gpus.len(),
        );
    }
    if text.is_empty() {
        return "no node has a GPU\n".to_owned();
    }
    text + &legend(&letters)
}

/// A letter for each workload on some GPU, in the order they came, so that a later map keeps the
/// letters of an earlier one. Beyond 62 they share the last one.
fn letters(nodes: &[Node]) -> Letters {
    let slices = nodes
        .iter()
        .flat_map(|node| &node.gpus)
        .flat_map(|gpu| &gpu.slices);
    let came = |slice: &GpuSlice| {
        let id = slice.slice_id.parse::<SliceId>();
        id.map_or(u64::MAX, |id| id.workload.0)
    };
    let mut names: Vec<(u64, &str)> = slices
        .map(|slice| (came(slice), slice.workload_name.as_str()))
        .collect();
    names.sort_unstable();
    names.dedup();
    let letters = LETTERS.chars().chain(std::iter::repeat('?'));
    names
        .into_iter()
        .map(|(_, name)| name.to_owned())
        .zip(letters)
        .collect()
}

fn letter_of(letters: &Letters, name: &str) -> char {
    letters
        .iter()
        .find(|(known, _)| known == name)
        .map_or('?', |(_, letter)| *letter)
}

fn cell(gpu: &Gpu, letters: &Letters) -> String {
    if gpu.health() != GpuHealth::Ok {
        return format!("[{}]", "x".repeat(MARKS as usize));
    }
    let mut marks = String::new();
    let mut given = 0;
    for slice in &gpu.slices {
        given += slice.compute_milli;
        let letter = letter_of(letters, &slice.workload_name);
        // A slice ends at the nearest mark, and even the smallest is seen.
        let end = ((given * MARKS + 500) / 1000).min(MARKS) as usize;
        let length = end.saturating_sub(marks.chars().count()).max(1);
        let room = (MARKS as usize).saturating_sub(marks.chars().count());
        marks.extend(std::iter::repeat_n(letter, length.min(room)));
    }
    let room = (MARKS as usize).saturating_sub(marks.chars().count());
    marks.extend(std::iter::repeat_n(FREE, room));
    format!("[{marks}]")
}

fn legend(letters: &Letters) -> String {
    let mut text = format!("\n{FREE} free   x lost   one mark is an eighth of a GPU\n");
    let entries: Vec<String> = letters
        .iter()
        .map(|(name, letter)| format!("{letter} {name}"))
        .collect();
    for line in entries.chunks(6) {
        text += &format!("{}\n", line.join("   "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu_with(slices: &[(&str, u32)]) -> Gpu {
        let slice = |(name, milli): &(&str, u32)| GpuSlice {
            workload_name: (*name).to_owned(),
            compute_milli: *milli,
            ..GpuSlice::default()
        };
        Gpu {
            health: GpuHealth::Ok.into(),
            model: "H100-80".to_owned(),
            used_milli: slices.iter().map(|s| s.1).sum(),
            slices: slices.iter().map(slice).collect(),
            ..Gpu::default()
        }
    }

    #[test]
    fn shares_and_whole_gpus_are_seen() {
        let lost = Gpu {
            health: GpuHealth::Lost.into(),
            model: "H100-80".to_owned(),
            ..Gpu::default()
        };
        let gpus = vec![
            gpu_with(&[("chat", 300), ("embed", 50)]),
            gpu_with(&[("train", 1000)]),
            gpu_with(&[]),
            lost,
        ];
        let node = Node {
            name: "node-1".to_owned(),
            gpus,
            ..Node::default()
        };
        let text = slice_map(&[node]);
        assert_eq!(
            text,
            "node-1  4x H100-80  [AAB·····] [CCCCCCCC] [········] [xxxxxxxx]  1.35 of 4 given\n\n\
             · free   x lost   one mark is an eighth of a GPU\nA chat   B embed   C train\n"
        );
    }
}
