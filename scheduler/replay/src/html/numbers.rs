//! The figures that matter first, and all of them last.

use super::markup::{escape, section as framed};
use crate::{
    args::Mode,
    report::{Report, Table},
    run::Replayed,
};

/// Figures of the first policy, each beside the baseline's.
pub(super) fn headline(replayed: &Replayed) -> String {
    let ours = &replayed.runs[0].report;
    let other = replayed.all().skip(1).last().map(|run| &run.report);
    let mut cards = vec![
        card("GPU allocated", ours, other, |report| {
            let (percent, allocated) = at_full(report)?;
            Some((
                format!("{allocated} %"),
                format!("at {percent} % asked for"),
            ))
        }),
        card("pods refused", ours, other, |report| {
            Some((
                report.failed.total.to_string(),
                format!("of {}", report.arrived),
            ))
        }),
    ];
    if ours.mode == Mode::Online {
        cards.push(card("first refusal", ours, other, |report| {
            let first = report.first_refusal_percent?;
            Some((format!("{first} %"), "of the GPU had arrived".to_owned()))
        }));
    }
    cards.push(card("decision, median", ours, other, |report| {
        let times = report.decision_us?;
        Some((format!("{} us", times.p50), format!("p99 {} us", times.p99)))
    }));
    cards.push(card("CPU, whole run", ours, other, |report| {
        let memory = format!("{} MiB at most", report.peak_rss_bytes >> 20);
        Some((format!("{} s", report.cpu_seconds), memory))
    }));
    let ceiling = ours.ceiling_percent.map(|ceiling| {
        format!("<li><span>ceiling</span><b>{ceiling} %</b><small>no scheduler allocates more</small></li>")
    });
    cards.extend(ceiling);
    format!(
        "<section id=\"headline\" aria-label=\"Headline figures of {}\"><ul class=\"cards\">{}</ul></section>\n",
        ours.policy,
        cards.concat()
    )
}

/// Where the curve is read: when all GPU there is has been asked for, or else at its end.
fn at_full(report: &Report) -> Option<(u64, crate::decimal::Decimal)> {
    let points = &report.allocated_gpu_percent;
    let full = points
        .get_key_value(&100)
        .or_else(|| points.last_key_value());
    full.map(|(percent, allocated)| (*percent, *allocated))
}

fn card(
    label: &str,
    ours: &Report,
    other: Option<&Report>,
    value: impl Fn(&Report) -> Option<(String, String)>,
) -> String {
    let (figure, detail) = value(ours).unwrap_or_else(|| ("none".to_owned(), String::new()));
    let other = other.and_then(|other| Some(format!("{}: {}", other.policy, value(other)?.0)));
    format!(
        "<li><span>{label}</span><b>{figure}</b><small>{detail}</small><small>{}</small></li>",
        other.unwrap_or_default()
    )
}

pub(super) fn facts(replayed: &Replayed) -> String {
    let facts = replayed.table().facts;
    let facts = facts
        .iter()
        .map(|(label, value)| format!("{}: {}", escape(label), escape(value)));
    format!("<p>{}</p>", facts.collect::<Vec<_>>().join(" · "))
}

pub(super) fn section(replayed: &Replayed) -> String {
    let Table { header, rows, .. } = replayed.table();
    let header = header
        .iter()
        .map(|policy| format!("<th scope=\"col\">{policy}</th>"));
    let rows = rows.iter().map(|row| {
        let cells = row
            .values
            .iter()
            .map(|value| format!("<td>{}</td>", escape(value)));
        let label = escape(row.label.trim());
        format!(
            "<tr><th scope=\"row\">{label}</th>{}</tr>",
            cells.collect::<String>()
        )
    });
    let body = format!(
        "<div class=\"wide\"><table><thead><tr><td></td>{}</tr></thead><tbody>{}</tbody></table></div>\n",
        header.collect::<String>(),
        rows.collect::<String>()
    );
    let lead =
        "The same that <code>-o table</code> prints; <code>-o json</code> is in this page too.";
    framed("numbers", "All numbers", lead, &body)
}
