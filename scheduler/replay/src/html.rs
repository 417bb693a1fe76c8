//! The report as one HTML file: pictures first, every number below, and nothing from elsewhere.

mod allocation;
mod chart;
mod failures;
mod histogram;
mod map;
mod markup;
mod numbers;

use crate::run::Replayed;
use markup::{escape, script_data};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// The page of these replays.
pub fn page(replayed: &Replayed) -> String {
    let title = format!("Replay of {}", escape(&replayed.name));
    let sections = [
        numbers::headline(replayed),
        allocation::section(replayed),
        allocation::fragmentation(replayed),
        failures::section(replayed),
        histogram::section(replayed),
        map::section(replayed),
        numbers::section(replayed),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>{title}</h1>{facts}{legend}</header>\n<main>\n{main}</main>\n\
         <script type=\"application/json\" id=\"report\">{report}</script>\n\
         <script type=\"application/json\" id=\"slices\">{slices}</script>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        facts = numbers::facts(replayed),
        legend = markup::legend(replayed),
        main = sections.concat(),
        report = script_data(&replayed.json()),
        slices = script_data(&map::data(replayed)),
    )
}

#[cfg(test)]
mod tests;
