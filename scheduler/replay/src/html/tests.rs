//! The page of a small replay: well-formed, whole, by itself, and equal to the JSON.

use super::*;
use crate::{
    args::{Choice, Mode, ReplayArgs},
    decimal::divide_half_even,
    policy::PolicyName,
    run::{Detail, run},
};
use std::{fmt::Write as _, fs};

/// Eight nodes of four GPUs, and pods of all sizes that do not all fit.
fn replayed(mode: Mode, policy: Vec<Choice>) -> Replayed {
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = "sn,cpu_milli,memory_mib,gpu,model\n".to_owned();
    for number in 0..8 {
        writeln!(nodes, "node-{number},64000,262144,4,T4<&'>").unwrap();
    }
    let mut pods = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n".to_owned();
    for number in 0..60 {
        let (gpus, milli) =
            [(0, 0), (1, 300), (1, 810), (1, 1000), (2, 1000), (4, 1000)][number % 6];
        writeln!(pods, "pod-{number:02},4000,1024,{gpus},{milli}").unwrap();
    }
    let (nodes_csv, pods_csv) = (
        folder.path().join("nodes.csv"),
        folder.path().join("p<ods>.csv"),
    );
    fs::write(&nodes_csv, nodes).unwrap();
    fs::write(&pods_csv, pods).unwrap();
    let args = ReplayArgs {
        nodes: nodes_csv,
        pods: pods_csv,
        arrivals: None,
        node_rank: None,
        seed: 7,
        demand: "1.3".parse().unwrap(),
        scale: 1,
        policy,
        no_baseline: false,
        mode,
        load: None,
        lifetime: None,
        moves_per_100: None,
    };
    run(&args, Detail::Pictures).unwrap()
}

fn best_fit_and_random() -> Vec<Choice> {
    vec![
        Choice::One(PolicyName::BestFit),
        Choice::One(PolicyName::Random),
    ]
}

/// What is between these two texts, once.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = page.split_once(from).unwrap();
    rest.split_once(to).unwrap().0
}

/// Elements that have no end.
const VOID: [&str; 1] = ["meta"];

/// Every element that begins ends, in the right order; scripts and styles are skipped.
fn check_nesting(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!doctype html>").unwrap();
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').unwrap();
        let name = tag.split([' ', '/']).next().unwrap();
        rest = after;
        if let Some(end) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(end), "before {after:.80}");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
            if ["script", "style"].contains(&name) {
                rest = &rest[rest.find(&format!("</{name}>")).unwrap()..];
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_page_is_well_formed_and_has_every_picture() {
    let page = page(&replayed(Mode::Online, best_fit_and_random()));
    check_nesting(&page);
    for id in [
        "headline",
        "allocation",
        "fragmentation",
        "failures",
        "decisions",
        "map",
        "numbers",
    ] {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
    for policy in ["best-fit", "random", "fgd (to compare with)"] {
        assert!(page.contains(policy), "{policy}");
    }
    // Two charts of three policies and the ceiling, and one of three policies.
    assert_eq!(page.matches("<polyline").count(), 2 * 4 + 3);
    assert_eq!(page.matches("<figure>").count(), 3);
    assert!(page.contains("Replay of p&lt;ods&gt;.csv"));
}

#[test]
fn the_page_asks_nothing_of_the_network() {
    let page = page(&replayed(Mode::Online, best_fit_and_random()));
    for foreign in [
        "://", "src=", "href=", "url(", "@import", "fetch(", "<link", "<iframe",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn the_page_holds_the_very_json() {
    let replayed = replayed(Mode::Online, best_fit_and_random());
    let page = page(&replayed);
    let data = between(&page, "id=\"report\">", "</script>");
    let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
    assert_eq!(read(data), read(&replayed.json()));
    assert_eq!(read(data)["runs"][1]["policy"], "random");
}

#[test]
fn the_slices_on_the_map_are_all_that_is_allocated() {
    let replayed = replayed(Mode::Online, best_fit_and_random());
    let page = page(&replayed);
    let slices: serde_json::Value =
        serde_json::from_str(between(&page, "id=\"slices\">", "</script>")).unwrap();
    assert_eq!(slices["nodes"].as_array().unwrap().len(), 8);
    assert_eq!(slices["models"][0], "T4<&'>");
    for (run, drawn) in replayed.all().zip(slices["runs"].as_array().unwrap()) {
        let gpus = drawn["gpus"].as_array().unwrap().iter();
        let slices = gpus.flat_map(|node| node.as_str().unwrap().split([';', ',']));
        let milli = slices
            .filter(|slice| !slice.is_empty())
            .map(|s| s.parse().unwrap_or(1000_u64));
        let end = run.report.allocated_gpu_percent.last_key_value().unwrap().1;
        assert_eq!(
            divide_half_even(u128::from(milli.sum::<u64>()) * 10_000, 32_000),
            end.units,
            "{}",
            run.report.policy
        );
    }
}

#[test]
fn backlog_and_churn_have_their_pages_too() {
    for mode in [Mode::Backlog, Mode::Churn] {
        let page = page(&replayed(mode, vec![Choice::One(PolicyName::Dovetail)]));
        check_nesting(&page);
        assert!(
            page.contains("<ul class=\"bars\"><li><span>dovetail at "),
            "{mode:?}"
        );
        assert!(!page.contains("id=\"fragmentation\""), "{mode:?}");
    }
}
