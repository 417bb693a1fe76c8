//! Golden JSON and golden table of hand-made results.

use super::*;

pub(crate) fn report(policy: PolicyName) -> Report {
    let us = |units| Decimal { units, places: 3 };
    let percent = Decimal::hundredths;
    Report {
        policy,
        mode: Mode::Online,
        seed: 42,
        nodes: 3,
        gpus: 8,
        arrived: 12,
        placed: 11,
        allocated_gpu_percent: [(60, percent(5998)), (100, percent(9300))].into(),
        first_refusal_percent: None,
        failed: Failed {
            total: 1,
            gpu8: 1,
            ..Failed::default()
        },
        failed_fgd: None,
        moves: 0,
        decision_us: Some(DecisionTimes {
            p50: us(1250),
            p99: us(9001),
            max: us(100_000),
        }),
        cpu_seconds: Decimal::millionths(34_361),
        peak_rss_bytes: 7 << 20,
        ceiling_percent: None,
        churned: None,
    }
}

fn golden() -> serde_json::Value {
    serde_json::json!({
        "policy": "best-fit", "mode": "online", "seed": 42, "nodes": 3, "gpus": 8,
        "arrived": 12, "placed": 11,
        "allocated_gpu_percent": {"60": 59.98, "100": 93.0},
        "first_refusal_percent": null,
        "failed": {
            "total": 1, "cpu_only": 0, "share": 0, "gpu1": 0, "gpu2": 0, "gpu4": 0, "gpu8": 1
        },
        "failed_fgd": null,
        "moves": 0,
        "decision_us": {"p50": 1.25, "p99": 9.001, "max": 100.0},
        "cpu_seconds": 0.034361, "peak_rss_bytes": 7_340_032, "ceiling_percent": null,
    })
}

#[test]
fn json_has_the_promised_keys_and_exact_numbers() {
    let text = json(&[report(PolicyName::BestFit)]);
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found, golden());
}

#[test]
fn several_policies_are_a_list_of_runs() {
    let text = json(&[report(PolicyName::BestFit), report(PolicyName::Random)]);
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["runs"][0], golden());
    assert_eq!(found["runs"][1]["policy"], "random");
    assert_eq!(found.as_object().unwrap().len(), 1);
}

#[test]
fn the_table_has_a_column_for_each_policy() {
    let mut fgd = report(PolicyName::Fgd);
    fgd.first_refusal_percent = Some(Decimal::hundredths(9406));
    fgd.failed.total = 1200;
    fgd.decision_us = None;
    let mut ours = report(PolicyName::Dovetail);
    ours.ceiling_percent = Some(Decimal::hundredths(9690));
    let wanted = "\
cluster             3 nodes, 8 GPUs
pods                12, one at a time, seed 42
ceiling             96.90 % of GPUs at 100 % arrived

                      dovetail         fgd
placed                      11          11
allocated at 60 %      59.98 %     59.98 %
allocated at 100 %     93.00 %     93.00 %
first refusal             none  at 94.06 %
refused                      1        1200
  CPU only                   0           0
  share                      0           0
  1 GPU                      0           0
  2 GPUs                     0           0
  4 GPUs                     0           0
  8 GPUs                     1           1
decision p50          1.250 us           -
decision p99          9.001 us           -
decision max        100.000 us           -
CPU                 0.034361 s  0.034361 s
peak memory              7 MiB       7 MiB";
    assert_eq!(Table::of(&[ours, fgd]).to_string(), wanted);
}

#[test]
fn a_backlog_shows_the_one_point_there_is() {
    let mut backlog = report(PolicyName::Dovetail);
    backlog.mode = Mode::Backlog;
    backlog.allocated_gpu_percent = [(57, Decimal::hundredths(5700))].into();
    let text = Table::of(&[backlog]).to_string();
    assert!(text.contains("allocated at 57 %"), "{text}");
    assert!(!text.contains("first refusal"), "{text}");
}
