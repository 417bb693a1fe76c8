//! The smallest parts of the page: escaped text, data for scripts, and the legend of all pictures.

use crate::run::Replayed;

/// Text that cannot be taken for markup.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// JSON that cannot end the script it is in, and reads back as the same.
pub(super) fn script_data(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// A section of the page.
pub(super) fn section(id: &str, title: &str, lead: &str, body: &str) -> String {
    format!("<section id=\"{id}\"><h2>{title}</h2><p>{lead}</p>\n{body}</section>\n")
}

/// The policies in their colours and dashes, which all pictures share.
pub(super) fn legend(replayed: &Replayed) -> String {
    let runs = replayed.all().enumerate();
    let items = runs.map(|(index, run)| {
        let beside = match replayed.baseline {
            Some(_) if index == replayed.runs.len() => " (to compare with)",
            _ => "",
        };
        format!(
            "<li><svg class=\"key\" viewBox=\"0 0 30 10\" aria-hidden=\"true\">\
             <path class=\"line c{index}\" d=\"M0 5H30\"/></svg>{}{beside}</li>",
            run.report.policy
        )
    });
    format!("<ul class=\"legend\">{}</ul>", items.collect::<String>())
}
