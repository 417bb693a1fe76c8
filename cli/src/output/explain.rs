//! Why a workload waits, for people: verdict, one reason, counts, nearest misses, remedies.

use super::{bytes, gpu, pairs, state};
use dovetail_proto::v1::{ExplainWorkloadResponse, GpuVerdict, Moving, NodeVerdict, Placement};

/// Nodes shown in full; the rest is in the counts, and in `-o json`.
const NODES_SHOWN: usize = 3;

/// The whole explanation.
pub(crate) fn explanation(reply: &ExplainWorkloadResponse) -> String {
    let mut text = headline(reply);
    text += &pairs(&[
        ("  needs", reply.needs.clone()),
        (
            "  reason",
            reply
                .reason
                .as_ref()
                .map(|r| format!("{}: {}", r.token, r.text))
                .unwrap_or_default(),
        ),
        (
            "  nodes",
            if reply.reason.is_some() {
                counts(reply)
            } else {
                String::new()
            },
        ),
    ]);
    let misses: Vec<&NodeVerdict> = reply.nodes.iter().take(NODES_SHOWN).collect();
    if !misses.is_empty() && reply.reason.is_some() {
        text += "\nnearest\n";
        text += &misses.into_iter().map(verdict).collect::<String>();
        let rest = reply.nodes.len().saturating_sub(NODES_SHOWN);
        if rest > 0 {
            text += &format!("  … and {rest} more nodes: -o json shows them all\n");
        }
    }
    if !reply.remedies.is_empty() {
        text += "\nwhat would make it fit now (each was tried)\n";
        for (index, remedy) in reply.remedies.iter().enumerate() {
            text += &format!("  {}. {:40} {}\n", index + 1, remedy.text, remedy.flags);
        }
    }
    text + &reply.moving.as_ref().map_or_else(String::new, moving)
}

/// Who would move where, and what that would do.
fn moving(moving: &Moving) -> String {
    let mut text = "\nmoving others\n".to_owned();
    for (index, one) in moving.moves.iter().enumerate() {
        let at = |placement: &Option<Placement>| placement.as_ref().map(place).unwrap_or_default();
        let name = if one.name.is_empty() {
            "(another tenant's)"
        } else {
            &one.name
        };
        text += &format!(
            "  {}. {} {}: from {} to {}, {} s lost\n",
            index + 1,
            one.workload_id,
            name,
            at(&one.from),
            at(&one.to),
            one.cost_seconds
        );
    }
    if !moving.placements.is_empty() {
        let places: Vec<String> = moving.placements.iter().map(place).collect();
        text += &format!("  then it would start on {}\n", places.join("; "));
    }
    text + &format!("  {}\n", moving.text)
}

/// A node, and which of its GPUs.
fn place(placement: &Placement) -> String {
    let gpus: Vec<String> = placement.gpus.iter().map(|g| g.index.to_string()).collect();
    let named = match gpus.len() {
        0 => return placement.node.clone(),
        1 => "GPU",
        _ => "GPUs",
    };
    format!("{} {named} {}", placement.node, gpus.join(","))
}

fn headline(reply: &ExplainWorkloadResponse) -> String {
    let name = reply
        .workload
        .as_ref()
        .and_then(|w| w.spec.as_ref())
        .map_or("it", |s| s.name.as_str());
    match &reply.workload {
        Some(workload) if reply.queue_position == 0 => {
            let nodes: Vec<&str> = workload
                .members
                .iter()
                .filter_map(|m| m.placement.as_ref())
                .map(|p| p.node.as_str())
                .collect();
            format!(
                "{name} is {} on {}\n",
                state(workload.state()),
                if nodes.is_empty() {
                    "no node".to_owned()
                } else {
                    nodes.join(", ")
                }
            )
        }
        Some(_) => format!(
            "{name} is pending, number {} of {} that wait\n",
            reply.queue_position, reply.queue_length
        ),
        None if reply.queue_position == 0 => String::new(),
        None => format!(
            "it would wait as number {} of {}\n",
            reply.queue_position, reply.queue_length
        ),
    }
}

fn counts(reply: &ExplainWorkloadResponse) -> String {
    if reply.counts.is_empty() {
        return String::new();
    }
    let each: Vec<String> = reply
        .counts
        .iter()
        .map(|count| format!("{} {}", count.nodes, count.token))
        .collect();
    format!("{} considered: {}", reply.nodes.len(), each.join(" · "))
}

fn verdict(node: &NodeVerdict) -> String {
    let reasons: Vec<&str> = node
        .reasons
        .iter()
        .map(|reason| reason.text.as_str())
        .collect();
    let mut text = format!("  {}: ", node.node);
    text += &match (node.members_fit, reasons.is_empty()) {
        (0, false) => reasons.join("; "),
        (0, true) => "no room".to_owned(),
        (1, _) => "room for 1 member".to_owned(),
        (fit, _) => format!("room for {fit} members"),
    };
    text += "\n";
    text + &gpu_verdicts(&node.gpus)
}

/// Neighbours that say the same share a line.
fn gpu_verdicts(gpus: &[GpuVerdict]) -> String {
    let same = |a: &GpuVerdict, b: &GpuVerdict| said(a) == said(b);
    gpus.chunk_by(same).map(gpu_line).collect()
}

fn gpu_line(run: &[GpuVerdict]) -> String {
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return String::new();
    };
    let which = match run.len() {
        1 => format!("GPU {}", first.index),
        _ => format!("GPUs {}-{}", first.index, last.index),
    };
    format!("    {which} {}\n", said(first))
}

fn said(verdict: &GpuVerdict) -> String {
    let why = verdict
        .reason
        .as_ref()
        .map_or("would do", |reason| reason.text.as_str());
    let held = match verdict.slices.as_slice() {
        [] => String::new(),
        slices => format!("  held by {}", slices.join(", ")),
    };
    format!(
        "{}: {} GPU and {} free, {why}{held}",
        verdict.model,
        gpu(verdict.free_milli),
        bytes(verdict.free_memory_bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_proto::v1::{GpuGrant, Move};

    fn placement(node: &str, gpus: &[u32]) -> Placement {
        let grant = |index: &u32| GpuGrant {
            index: *index,
            ..GpuGrant::default()
        };
        Placement {
            node: node.to_owned(),
            gpus: gpus.iter().map(grant).collect(),
            ..Placement::default()
        }
    }

    #[test]
    fn moves_are_numbered_and_say_who_goes_from_where_to_where() {
        let one = |name: &str, from, to| Move {
            workload_id: "w3".to_owned(),
            name: name.to_owned(),
            from: Some(from),
            to: Some(to),
            cost_seconds: 60,
        };
        let reply = ExplainWorkloadResponse {
            moving: Some(Moving {
                moves: vec![
                    one("a", placement("oak", &[3]), placement("elm", &[0])),
                    one("b", placement("oak", &[]), placement("elm", &[])),
                ],
                placements: vec![placement("oak", &[0, 1, 2, 3])],
                text: "2 moves would make room.".to_owned(),
                ..Moving::default()
            }),
            ..ExplainWorkloadResponse::default()
        };
        let wanted = "\nmoving others\n  \
             1. w3 a: from oak GPU 3 to elm GPU 0, 60 s lost\n  \
             2. w3 b: from oak to elm, 60 s lost\n  \
             then it would start on oak GPUs 0,1,2,3\n  \
             2 moves would make room.\n";
        assert_eq!(explanation(&reply), wanted);
    }

    #[test]
    fn where_no_move_helps_only_that_is_said() {
        let text = "no way".to_owned();
        let moving = Some(Moving {
            text,
            ..Moving::default()
        });
        let reply = ExplainWorkloadResponse {
            moving,
            ..ExplainWorkloadResponse::default()
        };
        assert_eq!(explanation(&reply), "\nmoving others\n  no way\n");
    }
}
