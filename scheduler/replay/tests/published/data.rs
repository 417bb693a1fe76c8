//! The published traces and results, where they are.

use dovetail_replay::{
    Detail, Report,
    args::{Choice, Mode, ReplayArgs},
    policy::PolicyName,
    run,
};
use std::{collections::BTreeMap, env, fs, path::PathBuf};

const TRACES: [&str; 5] = ["default", "cpu100", "gpushare40", "gpuspec10", "multigpu20"];

/// A row of a result file by its header.
#[derive(Debug)]
pub(crate) struct Row(BTreeMap<String, String>);

impl Row {
    pub(crate) fn number(&self, column: &str) -> u64 {
        self.0[column].parse().unwrap()
    }

    /// `95.2` is 9520.
    pub(crate) fn hundredths(&self, column: &str) -> u64 {
        let text = &self.0[column];
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole}{fraction:0<2}").parse().unwrap()
    }
}

/// The folder of the traces.
#[derive(Debug)]
pub(crate) struct Data {
    folder: PathBuf,
    curves: Vec<Row>,
    failures: Vec<Row>,
}

impl Data {
    /// Says why not if there is none.
    pub(crate) fn find() -> Option<Self> {
        let Some(root) = env::var_os("DOVETAIL_DATA") else {
            println!("skipped: DOVETAIL_DATA does not name the folder of the published traces");
            return None;
        };
        let folder = PathBuf::from(root).join("openb");
        if !folder.join("expected_alloc_discrete.csv").is_file() {
            println!(
                "skipped: there are no published results in {}",
                folder.display()
            );
            return None;
        }
        Some(Self {
            curves: rows(&folder.join("expected_alloc_discrete.csv")),
            failures: rows(&folder.join("replay_fails_850runs.csv")),
            folder,
        })
    }

    pub(crate) fn traces(&self) -> Vec<String> {
        let present = |trace: &String| self.pods(trace).is_file();
        TRACES
            .map(str::to_owned)
            .into_iter()
            .filter(present)
            .collect()
    }

    pub(crate) fn seeds(&self) -> std::ops::Range<u64> {
        let all = env::var("DOVETAIL_REPLAY_ALL").is_ok_and(|value| value == "1");
        if all { 42..52 } else { 42..44 }
    }

    pub(crate) fn curve(&self, trace: &str, policy: &str, seed: u64) -> &Row {
        find(&self.curves, trace, ("sc_policy", policy), seed)
    }

    pub(crate) fn failures(&self, trace: &str, policy: &str, seed: u64) -> &Row {
        find(&self.failures, trace, ("policy", policy), seed)
    }

    pub(crate) fn replay(&self, trace: &str, policy: PolicyName, seed: u64) -> Report {
        let args = ReplayArgs {
            nodes: self.folder.join("openb_node_list_gpu_node.csv"),
            pods: self.pods(trace),
            arrivals: Some(self.folder.join(format!("order_{trace}.u16"))),
            node_rank: Some(self.folder.join(format!("perm_{trace}.u16"))),
            seed,
            demand: "1.3".parse().unwrap(),
            policy: vec![Choice::One(policy)],
            no_baseline: true,
            mode: Mode::Online,
            scale: 1,
            load: None,
            lifetime: None,
            moves_per_100: None,
        };
        let mut replayed = run(&args, Detail::Numbers).unwrap();
        replayed.runs.remove(0).report
    }

    fn pods(&self, trace: &str) -> PathBuf {
        self.folder.join(format!("openb_pod_list_{trace}.csv"))
    }
}

fn find<'a>(rows: &'a [Row], trace: &str, policy: (&str, &str), seed: u64) -> &'a Row {
    let wanted = [("workload", trace), policy, ("seed", &seed.to_string())];
    let is = |row: &&Row| {
        wanted
            .iter()
            .all(|(column, value)| row.0[*column] == *value)
    };
    rows.iter().find(is).unwrap()
}

fn rows(path: &std::path::Path) -> Vec<Row> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let header: Vec<String> = lines.next().unwrap().collect();
    lines
        .map(|line| Row(header.iter().cloned().zip(line).collect()))
        .collect()
}
