//! Traces as they should be, and as hostile hands write them.

use super::*;
use crate::decimal::Decimal;
use std::{error::Error, fmt::Write as _, fs, path::PathBuf};
use tempfile::TempDir;

const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\n\
                     b,8000,100,2,T4\n\
                     a,4000,100,1,P100\n";
const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n\
                    p2,1000,10,1,500,T4|P100\n\
                    p1,1000,10,1,5000,\n\
                    p3,1000,10,0,7,\n\
                    p4,1000,10,2,1000,A100\n";

/// Files of a trace in a folder of their own.
struct Files {
    folder: TempDir,
    arrivals: Option<PathBuf>,
    rank: Option<PathBuf>,
    demand: &'static str,
}

impl Files {
    fn new(nodes: impl AsRef<[u8]>, pods: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("nodes.csv"), nodes).unwrap();
        fs::write(folder.path().join("pods.csv"), pods).unwrap();
        Self {
            folder,
            arrivals: None,
            rank: None,
            demand: "1.3",
        }
    }

    fn with_arrivals(mut self, bytes: &[u8]) -> Self {
        let path = self.folder.path().join("order.u16");
        fs::write(&path, bytes).unwrap();
        self.arrivals = Some(path);
        self
    }

    fn with_rank(mut self, bytes: &[u8]) -> Self {
        let path = self.folder.path().join("rank.u16");
        fs::write(&path, bytes).unwrap();
        self.rank = Some(path);
        self
    }

    fn read(&self, seed: u64) -> Result<Trace, TraceError> {
        Trace::read(&Source {
            nodes: &self.folder.path().join("nodes.csv"),
            pods: &self.folder.path().join("pods.csv"),
            arrivals: self.arrivals.as_deref(),
            node_rank: self.rank.as_deref(),
            seed,
            demand: self.demand.parse().unwrap(),
        })
    }

    /// The error and its cause, the folder left out.
    fn error(&self, seed: u64) -> String {
        let error = self.read(seed).expect_err("it is malformed");
        let folder = format!("{}/", self.folder.path().display());
        let cause = error
            .source()
            .map_or(String::new(), |cause| format!(": {cause}"));
        format!("{error}{cause}").replace(&folder, "")
    }
}

fn u16s(numbers: &[u16]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn order(pods: &[u16]) -> Vec<u8> {
    let length = u32::try_from(pods.len()).unwrap();
    [length.to_le_bytes().to_vec(), u16s(pods)].concat()
}

#[test]
fn a_trace_is_read_as_published() {
    let arrivals = [order(&[0]), order(&[3, 0, 1, 0])].concat();
    let rank = u16s(&[0, 1, 1, 0]);
    let files = Files::new(NODES, PODS)
        .with_arrivals(&arrivals)
        .with_rank(&rank);
    let trace = files.read(43).unwrap();
    let names: Vec<&str> = trace.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(
        names,
        ["b", "a"],
        "the rank of seed 43 turns the sorted names round"
    );
    assert_eq!(trace.models, ["T4", "P100"]);
    let of = |pod: usize| trace.classes[trace.pods[pod]];
    assert_eq!(
        (of(0).gpus, of(0).gpu_milli),
        (1, 1000),
        "clipped to a whole GPU"
    );
    assert_eq!((of(1).gpu_milli, of(1).models.0), (500, 0b11));
    assert_eq!((of(2).gpus, of(2).gpu_milli), (0, 0), "nothing of no GPU");
    assert_eq!(of(3).models.0, 0, "no node has that model");
    let arrivals: Vec<usize> = [3, 0, 1, 0].map(|pod: usize| trace.pods[pod]).to_vec();
    assert_eq!(trace.arrivals, arrivals);
    assert_eq!(files.read(42).unwrap().nodes[0].name, "a");
}

#[test]
fn without_files_order_and_rank_follow_from_seed_and_names() {
    let files = Files::new(NODES, PODS);
    let (one, again, other) = (files.read(1), files.read(1), files.read(2));
    let (one, again, other) = (one.unwrap(), again.unwrap(), other.unwrap());
    assert_eq!(one, again);
    assert_eq!(one.nodes, other.nodes, "a node's rank is its own");
    let ties: Vec<u64> = one.nodes.iter().map(|node| tie(&node.name)).collect();
    assert!(ties.is_sorted());
}

#[test]
fn a_drawn_order_has_every_pod_and_stops_at_the_demand() {
    let mut pods = String::from("name,cpu_milli,memory_mib,num_gpu,gpu_milli\n");
    for pod in 0..50 {
        writeln!(pods, "p{pod:02},100,1,1,{}", 10 + pod).unwrap();
    }
    let mut files = Files::new(NODES, &pods);
    for (demand, least, most) in [("1.3", 3900 - 60, 3900), ("0.2", 600 - 60, 600)] {
        files.demand = demand;
        let trace = files.read(7).unwrap();
        let asked = trace
            .arrivals
            .iter()
            .map(|class| trace.classes[*class].total_milli());
        let asked: u64 = asked.sum();
        assert!((least..=most).contains(&asked), "{demand}: {asked}");
        let mut classes = trace.arrivals.clone();
        classes.sort_unstable();
        classes.dedup();
        assert_eq!(
            classes.len() == 50,
            demand == "1.3",
            "only a low demand drops pods"
        );
    }
}

#[test]
fn a_demand_below_every_pod_leaves_little_and_ends() {
    let pods = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\nlarge,1,1,2,1000\nnone,1,1,0,0\n";
    let mut files = Files::new(NODES, pods);
    files.demand = "0.001";
    let trace = files.read(3).unwrap();
    let gpus = trace
        .arrivals
        .iter()
        .map(|class| trace.classes[*class].gpus);
    assert_eq!(gpus.sum::<u8>(), 0);
}

#[test]
fn malformed_rows_are_named_with_line_column_and_fix() {
    let node = |row: &str| Files::new(format!("{NODES}{row}\n"), PODS).error(42);
    let pod = |row: &str| Files::new(NODES, format!("{PODS}{row}\n")).error(42);
    let cases = [
        (
            node("c,-1,1,1,T4"),
            "failed to read `nodes.csv` line 4, column `cpu_milli`: `-1` is no whole number: write 0 \
             to 10000000 thousandths of a core",
        ),
        (
            node("c,1,1,17,T4"),
            "failed to read `nodes.csv` line 4, column `gpu`: `17` is out of range: write 0 to 16 GPUs",
        ),
        (
            node("a,1,1,1,T4"),
            "failed to read `nodes.csv` line 4, column `sn`: `a` is the name of two nodes: name each \
             once",
        ),
        (
            node("c,1,1,1"),
            "failed to read `nodes.csv` line 4: it has 4 fields and the header has 5; quoted fields \
             are not read",
        ),
        (
            pod("p5,1000,99999999999999999999,0,0,"),
            "failed to read `pods.csv` line 6, column `memory_mib`: `99999999999999999999` is out of \
             range: write 0 to 1073741824 MiB",
        ),
        (
            pod("p5,1000,1,2,500,"),
            "failed to read `pods.csv` line 6, column `gpu_milli`: `500` is a part of several GPUs: \
             write 1000, or 1 in `num_gpu`",
        ),
        (
            pod("p5,1000,1,1,0,"),
            "failed to read `pods.csv` line 6, column `gpu_milli`: `0` is nothing of one GPU: write 1 \
             to 1000",
        ),
        (
            pod(",1000,1,1,1,"),
            "failed to read `pods.csv` line 6, column `name`: `` is empty: write a name",
        ),
    ];
    for (found, wanted) in cases {
        assert_eq!(found, wanted);
    }
}

#[test]
fn files_that_are_no_trace_are_named() {
    let error = |nodes: &[u8], pods: &[u8]| Files::new(nodes, pods).error(42);
    let pods = PODS.as_bytes();
    let header = &NODES.as_bytes()[..34];
    let cases = [
        (
            error(b"sn,cpu_milli\n", pods),
            "failed to read `nodes.csv` line 1: there is no column `memory_mib`; the header has `sn`, \
             `cpu_milli`",
        ),
        (
            error(header, pods),
            "failed to read `nodes.csv`: it has 0 rows; write 1 to 100000",
        ),
        (
            error(b"sn,cpu_milli,memory_mib,gpu,model\na,1,1,0,\n", pods),
            "failed to read `nodes.csv`: no node has a GPU; write a number in column `gpu`",
        ),
        (
            error(b"sn,cpu_milli,memory_mib,gpu,model\n\xff,1,1,0,\n", pods),
            "failed to read `nodes.csv` line 2: it is not UTF-8 text",
        ),
        (
            error(
                NODES.as_bytes(),
                b"name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,0,0\n",
            ),
            "failed to draw arrivals from `pods.csv`: no pod asks for a GPU, so no demand can be met",
        ),
    ];
    for (found, wanted) in cases {
        assert_eq!(found, wanted);
    }
    let files = Files::new(NODES, PODS);
    fs::remove_file(files.folder.path().join("pods.csv")).unwrap();
    let missing = "failed to read `pods.csv`: No such file or directory (os error 2)";
    assert_eq!(files.error(42), missing);
}

#[test]
fn orders_of_another_trace_are_refused() {
    let arrivals = |bytes: &[u8], seed| Files::new(NODES, PODS).with_arrivals(bytes).error(seed);
    let rank = |numbers: &[u16], seed| {
        Files::new(NODES, PODS)
            .with_rank(&u16s(numbers))
            .error(seed)
    };
    let cases = [
        (
            arrivals(&order(&[4]), 42),
            "it names pod 4 and there are 4: take the order made for these pods",
        ),
        (arrivals(&order(&[0]), 43), "give a seed from 42 to 42"),
        (arrivals(&[], 42), "the file is empty"),
        (
            arrivals(&[255, 255, 255, 255, 1], 42),
            "the order for seed 42 claims 4294967295 arrivals and the file ends before",
        ),
        (
            rank(&[0, 0], 42),
            "each rank from 0 to 1 must be there once",
        ),
        (rank(&[0, 1], 41), "give a seed from 42 to 42"),
        (
            rank(&[0, 1, 2], 42),
            "it has 6 bytes, no multiple of 2 for each of 2 nodes: take the ranks made for these nodes",
        ),
    ];
    for (found, wanted) in cases {
        assert!(found.ends_with(wanted), "{found}");
    }
    let many = order(&[3; 20]);
    let wrong_demand = "the order asks for 40 GPUs and `--demand` for 3: give the demand it was made \
                        for, or no order";
    assert!(
        arrivals(&many, 42).ends_with(wrong_demand),
        "{}",
        arrivals(&many, 42)
    );
}

#[test]
fn hostile_text_is_not_repeated_in_full() {
    let long = "9".repeat(1 << 20);
    let error = Files::new(NODES, format!("{PODS}p5,{long},1,0,0,\n")).error(42);
    assert!(error.len() < 200, "{}", error.len());
    let fields = ",".repeat(1 << 20);
    let error = Files::new(NODES, format!("{PODS}{fields}\n")).error(42);
    assert!(
        error.contains("line 6: it has 1048577 fields and the header has 6"),
        "{error}"
    );
}

#[test]
fn a_demand_is_a_decimal_number_of_the_cluster() {
    let read = |text: &str| text.parse::<DemandRatio>().map(|ratio| ratio.of(10_000));
    assert_eq!(
        [read("1.3"), read("2"), read("0.001")],
        [Ok(13_000), Ok(20_000), Ok(10)]
    );
    for bad in [
        "",
        ".5",
        "0",
        "-1",
        "1.2345",
        "11",
        "1e3",
        "NaN",
        "99999999999999999999",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let shown = Decimal {
        units: 1300,
        places: 3,
    }
    .to_string();
    assert_eq!("1.3".parse::<DemandRatio>().unwrap().to_string(), shown);
}
