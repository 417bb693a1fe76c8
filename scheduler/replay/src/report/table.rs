//! Results side by side: one row for each figure, one column for each policy.

use super::{Churned, KINDS, Report, by_kind};
use crate::args::Mode;
use std::fmt;

/// Arrived percents that are shown; JSON has the whole curve.
const SHOWN: [u64; 3] = [60, 100, 130];

/// Shown where a figure does not apply.
const NOTHING: &str = "-";

/// A row of the table: what it says of each policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells {
    /// What the row is about.
    pub label: String,
    /// By policy.
    pub values: Vec<String>,
}

/// Results side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What holds for all policies: label and value.
    pub facts: Vec<(String, String)>,
    /// Names of the policies.
    pub header: Vec<String>,
    /// The figures.
    pub rows: Vec<Cells>,
}

impl Table {
    /// The table of these reports on one trace; there is at least one.
    pub fn of(reports: &[Report]) -> Self {
        Self {
            facts: facts(&reports[0]),
            header: reports
                .iter()
                .map(|report| report.policy.to_string())
                .collect(),
            rows: [
                allocation(reports),
                failures(reports),
                churned(reports),
                effort(reports),
            ]
            .concat(),
        }
    }
}

fn facts(report: &Report) -> Vec<(String, String)> {
    let how = match report.mode {
        Mode::Online => "one at a time",
        Mode::Backlog => "all at once",
        Mode::Churn => "one at a time, and they end",
    };
    let ceiling = report.ceiling_percent.map(|percent| match report.mode {
        Mode::Backlog | Mode::Churn => format!("{percent} % of GPUs"),
        Mode::Online => format!("{percent} % of GPUs at 100 % arrived"),
    });
    let mut facts = vec![
        (
            "cluster".to_owned(),
            format!("{} nodes, {} GPUs", report.nodes, report.gpus),
        ),
        (
            "pods".to_owned(),
            format!("{}, {how}, seed {}", report.arrived, report.seed),
        ),
    ];
    facts.extend(ceiling.map(|ceiling| ("ceiling".to_owned(), ceiling)));
    facts
}

fn allocation(reports: &[Report]) -> Vec<Cells> {
    let mut rows = vec![cells("placed", reports, |report| report.placed.to_string())];
    for percent in shown(reports) {
        rows.push(cells(
            &format!("allocated at {percent} %"),
            reports,
            |report| {
                let point = report.allocated_gpu_percent.get(&percent);
                point.map_or_else(|| NOTHING.to_owned(), |allocated| format!("{allocated} %"))
            },
        ));
    }
    if reports[0].mode == Mode::Online {
        rows.push(cells("first refusal", reports, |report| {
            let first = report.first_refusal_percent;
            first.map_or_else(|| "none".to_owned(), |percent| format!("at {percent} %"))
        }));
    }
    rows
}

/// Nobody looks at every percent of a curve; the other modes have but one point.
fn shown(reports: &[Report]) -> Vec<u64> {
    let points = reports
        .iter()
        .flat_map(|report| report.allocated_gpu_percent.keys());
    let mut points: Vec<u64> = points.copied().collect();
    points.sort_unstable();
    points.dedup();
    if reports[0].mode == Mode::Online {
        points.retain(|percent| SHOWN.contains(percent));
    }
    points
}

fn failures(reports: &[Report]) -> Vec<Cells> {
    let mut rows = vec![cells("refused", reports, |report| {
        report.failed.total.to_string()
    })];
    rows.extend(KINDS.iter().enumerate().map(|(kind, name)| {
        cells(&format!("  {name}"), reports, |report| {
            by_kind(&report.failed)[kind].to_string()
        })
    }));
    rows
}

fn churned(reports: &[Report]) -> Vec<Cells> {
    if reports[0].churned.is_none() {
        return Vec::new();
    }
    let of = |value: fn(&Churned) -> String| {
        move |report: &Report| {
            report
                .churned
                .as_ref()
                .map_or_else(|| NOTHING.to_owned(), value)
        }
    };
    let longest = |churned: &Churned| {
        let longest = churned.wait.by_kind.iter().map(|kind| kind.max);
        longest
            .max_by_key(|wait| wait.units)
            .map_or_else(|| NOTHING.to_owned(), |wait| wait.to_string())
    };
    vec![
        cells(
            "8 GPUs refused",
            reports,
            of(|c| format!("{} %", c.refused_percent.gpu8)),
        ),
        cells(
            "moves per 100",
            reports,
            of(|c| c.moves_per_100.to_string()),
        ),
        cells("longest wait", reports, of(longest)),
        cells(
            "still waiting",
            reports,
            of(|c| c.wait.still_waiting.to_string()),
        ),
    ]
}

fn effort(reports: &[Report]) -> Vec<Cells> {
    let decision = |report: &Report, time: fn(&super::DecisionTimes) -> crate::decimal::Decimal| {
        let times = report.decision_us.as_ref();
        times.map_or_else(|| NOTHING.to_owned(), |times| format!("{} us", time(times)))
    };
    vec![
        cells("decision p50", reports, |report| {
            decision(report, |times| times.p50)
        }),
        cells("decision p99", reports, |report| {
            decision(report, |times| times.p99)
        }),
        cells("decision max", reports, |report| {
            decision(report, |times| times.max)
        }),
        cells("CPU", reports, |report| format!("{} s", report.cpu_seconds)),
        cells("peak memory", reports, |report| {
            format!("{} MiB", report.peak_rss_bytes >> 20)
        }),
    ]
}

fn cells(label: &str, reports: &[Report], value: impl Fn(&Report) -> String) -> Cells {
    Cells {
        label: label.to_owned(),
        values: reports.iter().map(value).collect(),
    }
}

impl fmt::Display for Table {
    /// Labels to the left, figures to the right, so that digits stand below each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.rows.iter().map(|row| row.label.len());
        let width = labels.max().unwrap_or(0);
        for (label, value) in &self.facts {
            writeln!(f, "{label:width$}  {value}")?;
        }
        let columns: Vec<usize> = (0..self.header.len())
            .map(|column| self.width(column))
            .collect();
        let line = |label: &str, values: &[String]| {
            let values = values.iter().zip(&columns);
            let values = values.map(|(value, width)| format!("  {value:>width$}"));
            format!("{label:width$}{}", values.collect::<String>())
        };
        write!(f, "\n{}", line("", &self.header))?;
        for row in &self.rows {
            write!(f, "\n{}", line(&row.label, &row.values))?;
        }
        Ok(())
    }
}

impl Table {
    fn width(&self, column: usize) -> usize {
        let values = self.rows.iter().map(|row| row.values[column].len());
        values.chain([self.header[column].len()]).max().unwrap_or(0)
    }
}
