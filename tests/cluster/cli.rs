//! The command line as scripts and people meet it: exit codes, JSON, help.

use crate::support::{
    Cluster, NOBODY, Ran, SpecExt as _, is_root, needs_root, program_as, run, sleeper,
};
use dovetail_proto::v1::{Movable, Workload, WorkloadState};
use serde_json::Value;
use std::{collections::BTreeSet, os::unix::net::UnixListener, path::Path};

/// Flags every submission of these tests needs.
fn submit<'a>(name: &'a str, flags: &[&'a str], argv: &[&'a str]) -> Vec<&'a str> {
    let (user, level): (&[&str], _) = if is_root() {
        (&["--user", "nobody"], "shared")
    } else {
        (&[], "none")
    };
    let mut words = vec!["submit", "--name", name, "--minimum-level", level];
    words.extend(user);
    words.extend(flags);
    words.push("--");
    words.extend(argv);
    words
}

fn sleep_for_an_hour<'a>(name: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
    submit(name, flags, &["/bin/sleep", "3600"])
}

#[test]
fn exit_codes_say_what_happened() {
    let cluster = Cluster::builder().host("oak", "L4-24", 2).start();
    let dovetail = |words: &[&str]| cluster.dovetail(words);
    // 0: done.
    dovetail(&sleep_for_an_hour("runs", &["--gpus", "2"])).expect(0);
    dovetail(&submit("good", &["--wait"], &["/bin/true"])).expect(0);
    // 1: failure.
    dovetail(&submit("bad", &["--wait"], &["/bin/false"])).expect(1);
    dovetail(&sleep_for_an_hour("nine", &["--gpus", "9"])).expect(1);
    // 2: wrong usage, seen here or by the scheduler.
    dovetail(&["submit", "--no-such-flag"]).expect(2);
    dovetail(&sleep_for_an_hour("x", &["--memory", "much"])).expect(2);
    dovetail(&sleep_for_an_hour("Not-A-Name", &[])).expect(2);
    // 3: accepted, or possible, but not placed now.
    dovetail(&sleep_for_an_hour("waits", &["--gpus", "1"])).expect(3);
    let mut plan = sleep_for_an_hour("planned", &["--gpus", "1"]);
    plan[0] = "plan";
    dovetail(&plan).expect(3);
    // 4: no such workload or node.
    dovetail(&["get", "w999"]).expect(4);
    dovetail(&["node", "get", "elm"]).expect(4);
    // 8: it took longer than --timeout.
    dovetail(&submit(
        "slow",
        &["--wait", "--timeout", "1"],
        &["/bin/sleep", "3600"],
    ))
    .expect(8);
    let nothing_ran = dovetail(&["explain", "waits"]).expect(0);
    assert!(nothing_ran.stdout.contains("waits"), "{nothing_ran:#?}");
}

#[test]
fn a_scheduler_that_is_not_there_is_7_and_one_that_does_not_answer_8() {
    let dir = tempfile::tempdir().expect("there is room for a directory");
    let dovetail = |socket: &Path, words: &[&str]| {
        run(
            program_as(None, "dovetail")
                .arg("--socket")
                .arg(socket)
                .args(words),
            "",
        )
    };
    let absent = dovetail(&dir.path().join("absent"), &["ps"]).expect(7);
    assert!(
        absent.stderr.contains("absent") && absent.stderr.contains("help:"),
        "{absent:#?}"
    );
    let silent = dir.path().join("silent");
    let _listener = UnixListener::bind(&silent).expect("the directory is ours");
    dovetail(&silent, &["--timeout", "1", "ps"]).expect(8);
}

#[test]
fn what_is_not_allowed_is_6() {
    if !needs_root("calling as another user") {
        return;
    }
    let cluster = Cluster::small();
    cluster
        .dovetail_as(Some(NOBODY), &["node", "cordon", "oak"])
        .expect(6);
}

/// Every key of a JSON value, as a path; elements of lists share one.
fn keys(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let path = format!("{path}.{key}");
                all.insert(path.clone());
                keys(inner, &path, all);
            }
        }
        Value::Array(list) => list
            .iter()
            .for_each(|inner| keys(inner, &format!("{path}[]"), all)),
        _ => {}
    }
}

#[test]
fn the_json_of_ps_has_the_keys_that_scripts_know() {
    let cluster = Cluster::builder().host("oak", "L4-24", 2).start();
    cluster
        .client
        .run(&sleeper("runs").whole(2, "L4").max_runtime(3600));
    let waits = cluster.client.submit(&sleeper("waits").share(500, ""));
    cluster.client.await_state(&waits, WorkloadState::Pending);
    let json = cluster.dovetail(&["-o", "json", "ps"]).expect(0).json();
    assert_eq!(
        json["workloads"].as_array().map(Vec::len),
        Some(2),
        "{json:#}"
    );
    let mut found = BTreeSet::new();
    keys(&json, "", &mut found);
    let found: String = found.iter().map(|key| format!("{key}\n")).collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/golden/ps.keys");
    if std::env::var_os("DOVETAIL_BLESS").is_some() {
        std::fs::write(&golden, &found).expect("the repository can be written");
    }
    let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(
        found, wanted,
        "scripts depend on these; if the change is meant, run with DOVETAIL_BLESS=1"
    );
}

#[test]
fn every_command_speaks_json_that_parses() {
    let cluster = Cluster::builder().host("oak", "L4-24", 2).start();
    let id = cluster.client.run(&sleeper("runs").share(500, "")).id;
    let commands: [&[&str]; 7] = [
        &["ps"],
        &["get", &id],
        &["explain", &id],
        &["node", "list"],
        &["node", "get", "oak"],
        &["node", "map"],
        &["status"],
    ];
    for words in commands {
        let mut all = vec!["-o", "json"];
        all.extend(words);
        let json = cluster.dovetail(&all).expect(0).json();
        assert!(
            json.as_object().is_some_and(|map| !map.is_empty()),
            "{words:?}: {json}"
        );
    }
}

/// Every command with its subcommands, as `--help` lists them.
fn commands(dovetail: &dyn Fn(&[&str]) -> Ran, words: &[String]) -> Vec<Vec<String>> {
    let mut asked: Vec<&str> = words.iter().map(String::as_str).collect();
    asked.push("--help");
    let help = dovetail(&asked).expect(0).stdout;
    let mut lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let mut all = vec![words.to_vec()];
    while let Some(line) = lines.next().filter(|line| line.starts_with("  ")) {
        let name = line
            .split_whitespace()
            .next()
            .expect("a command has a name");
        // Descriptions of long names continue on lines of their own.
        if name != "help" && !line.starts_with("   ") {
            let mut inner = words.to_vec();
            inner.push(name.to_owned());
            all.extend(commands(dovetail, &inner));
        }
    }
    all
}

#[test]
fn the_help_of_every_command_fits_a_screen() {
    let dovetail = |words: &[&str]| run(program_as(None, "dovetail").args(words), "");
    let all = commands(&dovetail, &[]);
    assert!(all.len() > 15, "{all:?}");
    for words in all {
        let mut asked: Vec<&str> = words.iter().map(String::as_str).collect();
        asked.push("--help");
        let help = dovetail(&asked).expect(0).stdout;
        let lines = help.lines().count();
        assert!(lines <= 60, "{words:?} has {lines} lines:\n{help}");
    }
}

#[test]
fn people_can_read_the_map_the_explanation_and_the_list() {
    let cluster = Cluster::builder().host("oak", "L4-24", 4).start();
    cluster.client.run(&sleeper("chat").share(250, ""));
    cluster.client.run(&sleeper("train").whole(2, ""));
    let waits = cluster.client.submit(&sleeper("big").whole(3, ""));
    for (words, parts) in [
        (vec!["node", "map"], vec!["oak", "chat", "train"]),
        (vec!["ps"], vec!["chat", "RUNNING", "big", "PENDING", "oak"]),
        (vec!["explain", &waits], vec!["big", "oak"]),
    ] {
        let shown = cluster.dovetail(&words).expect(0).stdout;
        println!("$ dovetail {}\n{shown}", words.join(" "));
        for part in parts {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }
}

#[test]
fn who_fits_nowhere_is_told_whom_to_move_and_nobody_moves() {
    let cluster = Cluster::builder()
        .host("oak", "L4-24", 2)
        .host("elm", "L4-24", 2)
        .start();
    let client = &cluster.client;
    // Four fill both hosts; then one ends on each, so that nowhere two GPUs are free.
    let four = ["a", "b", "c", "d"].map(|name| {
        let mut spec = sleeper(name).whole(1, "");
        spec.movable = Some(Movable {
            restart_cost_seconds: 90,
        });
        client.run(&spec)
    });
    let on_oak = |w: &&Workload| {
        w.members[0]
            .placement
            .as_ref()
            .is_some_and(|p| p.node == "oak")
    };
    let (oak, elm): (Vec<_>, Vec<_>) = four.iter().partition(on_oak);
    assert_eq!((oak.len(), elm.len()), (2, 2));
    for ended in [oak[0], elm[0]] {
        cluster.dovetail(&["cancel", &ended.id]).expect(0);
        client.await_state(&ended.id, WorkloadState::Cancelled);
    }
    let waits = client.submit(&sleeper("big").whole(2, ""));
    client.await_state(&waits, WorkloadState::Pending);
    let shown = cluster.dovetail(&["explain", &waits]).expect(0).stdout;
    for part in [
        "moving others",
        "  1. w",
        "90 s lost",
        "does not move work by itself yet",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    let json = cluster
        .dovetail(&["-o", "json", "explain", &waits])
        .expect(0)
        .json();
    let moving = &json["moving"];
    assert_eq!(
        moving["moves"].as_array().map(Vec::len),
        Some(1),
        "{json:#}"
    );
    assert_eq!(moving["costSeconds"], "90", "{json:#}");
    assert_eq!(
        moving["placements"][0]["gpus"].as_array().map(Vec::len),
        Some(2)
    );
    let moved = moving["moves"][0]["workloadId"]
        .as_str()
        .expect("it has an id");
    let stays = cluster.dovetail(&["get", moved]).expect(0).stdout;
    assert!(stays.contains("RUNNING"), "{stays}");
}
