//! Configurations that are right, and everything that is wrong with others.

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("scheduler.toml"))
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.data_dir, Path::new("/var/lib/dovetail/scheduler"));
    assert_eq!(config.socket, Path::new("/run/dovetail/scheduler.sock"));
    assert_eq!(config.socket_mode, 0o666);
    assert_eq!(config.policy, Policy::default());
    assert!(
        config.operators.contains(&0),
        "root may do everything by default"
    );
}

#[test]
fn the_sample_configuration_is_valid_and_holds_the_defaults() {
    let sample = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/config/scheduler.toml"
    );
    let config = Config::load(Some(Path::new(sample))).unwrap();
    assert_eq!(config, parse("").unwrap());
}

#[test]
fn what_is_printed_means_the_same() {
    let text = "socket = \"/tmp/a \\\"b\\\".sock\"\nsocket_mode = \"0660\"\n[solver]\nenabled = false\n\
                [lease]\nduration = \"20s\"\n[log]\nformat = \"json\"\n[limits]\nmax_pending = 7";
    let config = parse(text).unwrap();
    assert_eq!(parse(&config.to_string()).unwrap(), config);
}

#[test]
fn every_wrong_value_is_named_with_its_line_and_the_fix() {
    let text = "data_dir = \"relative\"\nsocket_mode = \"999\"\n[security]\noperators = [\"root\", \
                \"no-such-user\"]\n[solver]\nsoft_limit = \"2s\"\nhard_limit = \"1s\"\nmemory_limit \
                = \"lots\"\n[lease]\nduration = \"1s\"\n[limits]\nmax_pending = 0\n[log]\nformat = \
                \"xml\"\n";
    let ConfigError::Values { problems, .. } = parse(text).unwrap_err() else {
        panic!("values are wrong");
    };
    let found: Vec<(usize, &str)> = problems.iter().map(|p| (p.line, p.key.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, "data_dir"),
            (2, "socket_mode"),
            (4, "security.operators"),
            (7, "solver.hard_limit"),
            (8, "solver.memory_limit"),
            (10, "lease.duration"),
            (12, "limits.max_pending"),
            (14, "log.format"),
        ]
    );
    assert!(
        problems
            .iter()
            .all(|p| p.text.starts_with("must be ") || p.text.contains("no-such-user"))
    );
}

#[test]
fn unknown_keys_wrong_types_and_bad_syntax_are_refused_with_their_line() {
    for (text, line) in [
        ("sokcet = \"/x\"", "line 1"),
        ("\n[solver]\nenabeld = true", "line 3"),
        ("[limits]\nmax_pending = \"many\"", "line 2"),
        ("data_dir = ", "line 1"),
        ("[secrets]\n", "line 1"),
    ] {
        let ConfigError::Syntax { detail, .. } = parse(text).unwrap_err() else {
            panic!("syntax is wrong: {text}");
        };
        assert!(detail.contains(line), "{text}: {detail}");
    }
}

#[test]
fn a_file_that_was_named_must_exist() {
    let missing = Path::new("/nonexistent/scheduler.toml");
    assert!(matches!(
        Config::load(Some(missing)),
        Err(ConfigError::Read { .. })
    ));
}

#[test]
fn a_socket_path_the_kernel_would_cut_is_refused() {
    let text = format!("socket = \"/{}\"", "x".repeat(107));
    assert!(matches!(parse(&text), Err(ConfigError::Values { .. })));
}
