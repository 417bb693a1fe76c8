//! Who was refused, by class, with a bar for each number.

use super::markup::section as framed;
use crate::{
    args::Mode,
    report::{KINDS, by_kind},
    run::Replayed,
};

pub(super) fn section(replayed: &Replayed) -> String {
    let lead = format!(
        "Pods refused, by what they ask for. A bar is the part of those that came. {}",
        how(replayed.runs[0].report.mode)
    );
    let header = replayed
        .all()
        .map(|run| format!("<th scope=\"col\">{}</th>", run.report.policy));
    let rows = KINDS
        .iter()
        .enumerate()
        .map(|(kind, name)| row(replayed, kind, name));
    let body = format!(
        "<div class=\"wide\"><table class=\"failures\"><thead><tr><th scope=\"col\">asks for</th>\
         <th scope=\"col\">came</th>{}</tr></thead><tbody>{}{}</tbody></table></div>\n",
        header.collect::<String>(),
        rows.collect::<String>(),
        total(replayed),
    );
    framed("failures", "Refused pods", &lead, &body)
}

/// What has to be known before policies are compared.
fn how(mode: Mode) -> &'static str {
    match mode {
        Mode::Online => "",
        Mode::Backlog => {
            "All wait at once and there is not room for all: dovetail leaves out what is worth least \
             for the room it takes, often large pods; the others take them in their order and refuse \
             who comes late."
        }
        Mode::Churn => {
            "Only dovetail may move others to make room; how many it moved is in the numbers below."
        }
    }
}

fn row(replayed: &Replayed, kind: usize, name: &str) -> String {
    let cells = replayed.all().enumerate().map(|(index, run)| {
        let (refused, came) = (
            by_kind(&run.report.failed)[kind],
            by_kind(&run.arrived)[kind],
        );
        cell(index, refused, came)
    });
    line(
        name,
        by_kind(&replayed.runs[0].arrived)[kind],
        cells.collect(),
    )
}

fn total(replayed: &Replayed) -> String {
    let cells = replayed.all().enumerate();
    let cells = cells.map(|(index, run)| cell(index, run.report.failed.total, run.arrived.total));
    line("all", replayed.runs[0].arrived.total, cells.collect())
}

fn line(name: &str, came: u64, cells: String) -> String {
    format!("<tr><th scope=\"row\">{name}</th><td>{came}</td>{cells}</tr>")
}

fn cell(index: usize, refused: u64, came: u64) -> String {
    let percent = (refused * 100).checked_div(came).unwrap_or(0);
    format!(
        "<td><span class=\"track\"><span class=\"bar c{index}\" style=\"width:{percent}%\"></span>\
         </span>{refused}</td>"
    )
}
