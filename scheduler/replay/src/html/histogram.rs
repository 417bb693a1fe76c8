//! How long decisions took: one small histogram for each policy, all on the same axes.

use super::markup::section as framed;
use crate::run::{Replayed, Run};

/// Upper ends of the bars, in nanoseconds: 1, 2 and 5 of each power of ten from 100 ns to 5 s.
const ENDS: usize = 24;

/// The picture, in its own units.
const BAR: usize = 26;
const BOTTOM: usize = 150;
const TALLEST: usize = 130;

pub(super) fn section(replayed: &Replayed) -> String {
    let counts: Vec<(usize, &Run, Vec<usize>)> = replayed
        .all()
        .enumerate()
        .filter(|(_, run)| !run.picture.decisions_ns.is_empty())
        .map(|(index, run)| (index, run, count(&run.picture.decisions_ns)))
        .collect();
    let used = |bin: &usize| counts.iter().any(|(_, _, bins)| bins[*bin] > 0);
    let first = (0..ENDS).find(used);
    let last = (0..ENDS).rev().find(used);
    let (Some(first), Some(last)) = (first, last) else {
        return String::new();
    };
    let pictures = counts
        .iter()
        .map(|(index, run, bins)| picture(*index, run, &bins[first..=last], first));
    let body = format!(
        "<div class=\"small\">{}</div>\n",
        pictures.collect::<String>()
    );
    let lead = "How long one decision took, as a part of all decisions. Each bar reaches to the time \
                under it.";
    framed("decisions", "Decision time", lead, &body)
}

fn end_ns(bin: usize) -> u64 {
    let power = u32::try_from(bin / 3).expect("there are few bars");
    [100, 200, 500][bin % 3] * 10_u64.pow(power)
}

/// Decisions by bar; the last takes what is slower than all.
fn count(decisions_ns: &[u64]) -> Vec<usize> {
    let mut bins = vec![0; ENDS];
    for took in decisions_ns {
        let bin = (0..ENDS).find(|bin| *took <= end_ns(*bin));
        bins[bin.unwrap_or(ENDS - 1)] += 1;
    }
    bins
}

fn picture(index: usize, run: &Run, bins: &[usize], first: usize) -> String {
    let all = run.picture.decisions_ns.len();
    let bars = bins.iter().enumerate().map(|(place, count)| {
        let height = (count * TALLEST).div_ceil(all);
        let (x, y) = (place * BAR + 2, BOTTOM - height);
        let time = time(end_ns(first + place));
        let tenths = count * 1000 / all;
        format!(
            "<rect class=\"c{index}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{height}\">\
             <title>up to {time}: {count} decisions, {}.{} %</title></rect>\
             <text x=\"{}\" y=\"166\">{time}</text>",
            BAR - 4,
            tenths / 10,
            tenths % 10,
            x + BAR / 2 - 2,
        )
    });
    let policy = run.report.policy;
    format!(
        "<figure><svg viewBox=\"0 0 {} 175\" role=\"img\" aria-label=\"decision times of {policy}\">\
         {}</svg><figcaption>{policy}{}</figcaption></figure>",
        bins.len() * BAR,
        bars.collect::<String>(),
        times(run),
    )
}

fn times(run: &Run) -> String {
    let times = run.report.decision_us;
    times.map_or(String::new(), |times| {
        format!(
            ": p50 {} us, p99 {} us, max {} us",
            times.p50, times.p99, times.max
        )
    })
}

fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{}us", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{}ms", ns / 1_000_000),
        _ => format!("{}s", ns / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decision_is_in_the_bar_that_reaches_to_it() {
        let bins = count(&[1, 100, 101, 5_000, 5_001, 60_000_000_000]);
        let of = |ns| bins[(0..ENDS).find(|bin| end_ns(*bin) == ns).unwrap()];
        assert_eq!([100, 200, 5_000, 10_000].map(of), [2, 1, 1, 1]);
        assert_eq!((bins[ENDS - 1], bins.iter().sum()), (1, 6));
    }
}
