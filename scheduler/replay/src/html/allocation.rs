//! How much GPU is in use and how fragmented the rest is, while pods arrive.

use super::{
    chart::{Chart, Line},
    markup::section as framed,
};
use crate::{
    args::Mode,
    decimal::Decimal,
    run::{Replayed, Run},
};
use std::collections::BTreeMap;

const ARRIVED: &str = "GPU that has arrived, of all there is";

/// From here on the curves of policies part.
const PART_AT_PERCENT: u64 = 80;

pub(super) fn section(replayed: &Replayed) -> String {
    let mode = replayed.runs[0].report.mode;
    let lead = match mode {
        Mode::Online => {
            "GPU in use while pods arrive. Whoever fits must be placed, so the curves part only where \
             a policy has left no room. The thin line is all that arrives, up to the ceiling."
        }
        Mode::Backlog => "GPU in use after all pods were packed.",
        Mode::Churn => "GPU in use over time, in the second half, when as many come as go.",
    };
    let body = match mode {
        Mode::Online => curves(replayed),
        Mode::Backlog | Mode::Churn => bars(replayed),
    };
    framed("allocation", "Allocated GPU", lead, &body)
}

fn curves(replayed: &Replayed) -> String {
    let last = last_percent(replayed);
    let mut lines = vec![ideal(replayed.runs[0].report.ceiling_percent)];
    lines.extend(lines_of(replayed, |run| &run.report.allocated_gpu_percent));
    let whole = Chart {
        title: "allocated GPU by arrived GPU".to_owned(),
        x: (0, last.max(1)),
        y: (0, 100),
        x_label: ARRIVED,
        lines,
    };
    let svg = whole.svg();
    if last <= PART_AT_PERCENT {
        return svg;
    }
    let parting = Chart {
        title: "allocated GPU by arrived GPU, where the policies part".to_owned(),
        x: (PART_AT_PERCENT, last),
        y: (floor(replayed), 100),
        ..whole
    };
    format!("<div class=\"pair\">{svg}{}</div>", parting.svg())
}

/// A round percent below what every policy reaches at the end.
fn floor(replayed: &Replayed) -> u64 {
    let ends = replayed.all().filter_map(|run| {
        let points = &run.report.allocated_gpu_percent;
        points.last_key_value().map(|(_, end)| end.units / 100)
    });
    let least = ends.min().unwrap_or(0).min(PART_AT_PERCENT + 15);
    least.saturating_sub(3) / 5 * 5
}

/// What arrives is what could be in use, up to the ceiling.
fn ideal(ceiling: Option<Decimal>) -> Line {
    let ceiling = ceiling.map_or(10_000, |ceiling| ceiling.units);
    Line {
        label: "ceiling".to_owned(),
        class: "ceiling".to_owned(),
        points: (0..=100)
            .map(|x| (x * 100, (x * 100).min(ceiling)))
            .collect(),
    }
}

fn bars(replayed: &Replayed) -> String {
    let items = replayed.all().enumerate().flat_map(|(index, run)| {
        let points = run.report.allocated_gpu_percent.iter();
        points.map(move |(percent, allocated)| {
            format!(
                "<li><span>{} at {percent} % asked for</span><span class=\"track\">\
                 <span class=\"bar c{index}\" style=\"width:{allocated}%\"></span></span>\
                 <b>{allocated} %</b></li>",
                run.report.policy
            )
        })
    });
    format!("<ul class=\"bars\">{}</ul>\n", items.collect::<String>())
}

pub(super) fn fragmentation(replayed: &Replayed) -> String {
    if replayed
        .all()
        .all(|run| run.picture.fragmentation.is_empty())
    {
        return String::new();
    }
    let chart = Chart {
        title: "fragmentation by arrived GPU".to_owned(),
        x: (0, last_percent(replayed).max(1)),
        y: (0, 100),
        x_label: ARRIVED,
        lines: lines_of(replayed, |run| &run.picture.fragmentation).collect(),
    };
    let lead = "Part of the free GPU that a typical pod cannot use, as FGD defines it: lower is \
                better until the cluster is full.";
    framed("fragmentation", "Fragmentation", lead, &chart.svg())
}

fn lines_of(
    replayed: &Replayed,
    points: fn(&Run) -> &BTreeMap<u64, Decimal>,
) -> impl Iterator<Item = Line> {
    replayed.all().enumerate().map(move |(index, run)| Line {
        label: run.report.policy.to_string(),
        class: format!("c{index}"),
        points: points(run)
            .iter()
            .map(|(x, y)| (x * 100, y.units))
            .collect(),
    })
}

fn last_percent(replayed: &Replayed) -> u64 {
    let ends = replayed
        .all()
        .filter_map(|run| run.report.allocated_gpu_percent.keys().last());
    ends.max().copied().unwrap_or(0)
}
