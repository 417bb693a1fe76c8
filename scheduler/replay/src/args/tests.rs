//! Flags as people type them.

use super::*;
use clap::Parser;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: ReplayArgs,
}

fn parse(flags: &str) -> Result<ReplayArgs, String> {
    let fixed = ["replay", "--nodes", "n.csv", "--pods", "p.csv"].into_iter();
    Command::try_parse_from(fixed.chain(flags.split_whitespace()))
        .map(|command| command.args)
        .map_err(|error| error.to_string())
}

#[test]
fn policies_are_named_once_or_often_or_all_at_once() {
    use PolicyName::{BestFit, Dovetail, Fgd};
    let of = |flags| parse(flags).unwrap().policies();
    assert_eq!(of(""), [Dovetail]);
    assert_eq!(of("--policy fgd,dovetail --policy fgd"), [Fgd, Dovetail]);
    assert_eq!(of("--policy best-fit --policy all").len(), 8);
    assert_eq!(of("--policy best-fit,all")[0], BestFit);
    let error = parse("--policy fdg").unwrap_err();
    assert!(
        error.contains("gpu-clustering") && error.contains("all"),
        "{error}"
    );
}

#[test]
fn a_flag_of_churn_is_refused_in_other_modes_by_name_and_with_the_way_out() {
    for flag in ["--load 0.9", "--lifetime log-normal", "--moves-per-100 1"] {
        let name = flag.split_whitespace().next().unwrap();
        for mode in ["online", "backlog"] {
            let args = parse(&format!("{flag} --mode {mode}")).unwrap();
            let error = args.check().unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("--mode churn"),
                "{error}"
            );
        }
        assert_eq!(
            parse(&format!("{flag} --mode churn")).unwrap().check(),
            Ok(())
        );
    }
    assert_eq!(parse("").unwrap().check(), Ok(()));
}

#[test]
fn quantities_out_of_range_are_refused_with_an_example() {
    for (flags, example) in [
        ("--load 0", "0.95"),
        ("--load 95%", "0.95"),
        ("--load 2.001", "0.95"),
        ("--moves-per-100 -1", "1.3"),
        ("--moves-per-100 1.2345", "1.3"),
        ("--moves-per-100 1001", "1.3"),
        ("--demand 0", "1.3"),
        ("--scale 0", "1..=64"),
        ("--scale 65", "1..=64"),
    ] {
        let flags = flags.replacen(' ', "=", 1);
        let error = parse(&flags).unwrap_err();
        let flag = flags.split('=').next().unwrap();
        assert!(
            error.contains(example) && error.contains(flag),
            "{flags}: {error}"
        );
    }
    let args = parse("--load 0.9 --moves-per-100 0.5").unwrap();
    assert_eq!(args.load.unwrap().permille(), 900);
    assert_eq!(args.moves_per_100.unwrap().per_100_000(), 500);
}
