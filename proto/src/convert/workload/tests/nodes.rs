//! Ways to spoil what a workload says of the nodes it goes to.

use super::*;

fn tolerates(key: &str, operator: i32, value: &str) -> Vec<v1::Toleration> {
    vec![v1::Toleration {
        key: key.to_owned(),
        operator,
        value: value.to_owned(),
    }]
}

pub(super) const NODE_ROWS: [Row; 9] = [
    (
        |w| w.node_selector = one("-a", ""),
        "node_selector[\"-a\"]",
        "`-a` is no label key",
    ),
    (
        |w| w.node_selector = one("a", "b c"),
        "node_selector[\"a\"]",
        "`b c` is no label value",
    ),
    (
        |w| w.node_selector = many(17),
        "node_selector",
        "at most 16 elements, got 17",
    ),
    (
        |w| w.tolerations = tolerates("", 0, ""),
        "tolerations[0].key",
        "`` is no label key",
    ),
    (
        |w| w.tolerations = tolerates("a", 1, "/"),
        "tolerations[0].value",
        "`/` is no label value",
    ),
    (
        |w| w.tolerations = tolerates("a", 2, "b"),
        "tolerations[0].value",
        "must be empty with TOLERATION_OPERATOR_EXISTS",
    ),
    (
        |w| w.tolerations = tolerates("a", 3, ""),
        "tolerations[0].operator",
        "must be TOLERATION_OPERATOR_EQUAL or TOLERATION_OPERATOR_EXISTS",
    ),
    (
        |w| w.tolerations = vec![tolerates("a", 0, "").remove(0); 17],
        "tolerations",
        "at most 16 elements, got 17",
    ),
    (
        |w| {
            let restart_cost_seconds = 604_801;
            w.movable = Some(v1::Movable {
                restart_cost_seconds,
            });
        },
        "movable.restart_cost_seconds",
        "must be 0 to 604800, got 604801",
    ),
];
