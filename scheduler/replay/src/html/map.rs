//! The slice map: every node as a small grid of GPUs, with the slices in them at the end.

use super::markup::section as framed;
use crate::run::{Replayed, Run};
use serde::Serialize;

/// Most bytes of the slices of all policies: they keep the page below 3 MB.
const SLICES_BYTES_MAX: usize = 2_000_000;

#[derive(Debug, Serialize)]
struct Data<'a> {
    models: &'a [String],
    /// Name, model, GPUs, cores in thousandths.
    nodes: Vec<(&'a str, u8, u8, u64)>,
    runs: Vec<Slices>,
    left_out: Vec<String>,
}

/// What is on the nodes at the end of a run.
#[derive(Debug, Serialize)]
struct Slices {
    policy: String,
    /// By node: GPUs parted by `;`, their slices by `,`. A share is its thousandths; a letter is
    /// a whole GPU of work with one (`a`), two (`b`) or more.
    gpus: Vec<String>,
    /// By node: free cores in thousandths.
    cpu_free: Vec<u64>,
}

pub(super) fn data(replayed: &Replayed) -> String {
    let nodes = replayed.trace.nodes.iter();
    let mut data = Data {
        models: &replayed.trace.models,
        nodes: nodes
            .map(|node| (node.name.as_str(), node.model, node.gpus, node.cpu_milli))
            .collect(),
        runs: Vec::new(),
        left_out: Vec::new(),
    };
    let mut bytes = 0;
    for run in replayed.all() {
        let slices = slices(replayed, run);
        bytes += slices.gpus.iter().map(|gpus| gpus.len() + 3).sum::<usize>();
        bytes += slices
            .cpu_free
            .iter()
            .map(|free| free.to_string().len() + 1)
            .sum::<usize>();
        if bytes > SLICES_BYTES_MAX {
            data.left_out.push(slices.policy);
        } else {
            data.runs.push(slices);
        }
    }
    serde_json::to_string(&data).expect("numbers and texts are always JSON")
}

fn slices(replayed: &Replayed, run: &Run) -> Slices {
    let trace = &replayed.trace;
    let nodes = trace.nodes.iter();
    let mut gpus: Vec<Vec<Vec<String>>> = nodes
        .map(|node| vec![Vec::new(); node.gpus.into()])
        .collect();
    let mut cpu_free: Vec<u64> = trace.nodes.iter().map(|node| node.cpu_milli).collect();
    for (class, at) in &run.picture.placed {
        let demand = &trace.classes[*class];
        cpu_free[at.node] -= demand.cpu_milli;
        let slice = if demand.is_share() {
            demand.gpu_milli.to_string()
        } else {
            char::from(b'a' + demand.gpus.saturating_sub(1)).to_string()
        };
        for gpu in at.gpus.indices() {
            gpus[at.node][gpu].push(slice.clone());
        }
    }
    let node = |gpus: &Vec<Vec<String>>| {
        gpus.iter()
            .map(|gpu| gpu.join(","))
            .collect::<Vec<_>>()
            .join(";")
    };
    Slices {
        policy: run.report.policy.to_string(),
        gpus: gpus.iter().map(node).collect(),
        cpu_free,
    }
}

pub(super) fn section(replayed: &Replayed) -> String {
    let lead = "Every node at the end, one square for each GPU. Point at a node, or use the arrow keys, \
                to read its numbers.";
    let options = replayed
        .all()
        .enumerate()
        .map(|(index, run)| format!("<option value=\"{index}\">{}</option>", run.report.policy));
    let body = format!(
        "<p><label>Policy <select id=\"map-policy\">{}</select></label> <span id=\"map-key\"></span></p>\
         <p id=\"map-note\"></p>\
         <div class=\"map\"><canvas id=\"map-canvas\" tabindex=\"0\" role=\"img\" \
         aria-label=\"slice map\" aria-describedby=\"map-node\"></canvas></div>\
         <p id=\"map-node\" role=\"status\"></p>\
         <noscript><p>The map is drawn by a script, which is off; every number is below.</p></noscript>\n",
        options.collect::<String>()
    );
    framed("map", "Slice map", lead, &body)
}
