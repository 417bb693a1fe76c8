//! Labels and taints of the node, as its operator wrote them.

use super::Check;
use dovetail_model::label::{
    LabelKey, LabelValue, Labels, NODE_LABELS_MAX, TAINTS_MAX, Taint, TaintEffect,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTaint {
    key: Spanned<String>,
    #[serde(default)]
    value: Option<Spanned<String>>,
    effect: Spanned<String>,
}

/// A taint as a file says it.
#[derive(Debug, Serialize)]
pub(super) struct ShownTaint<'a> {
    key: &'a str,
    value: &'a str,
    effect: &'static str,
}

pub(super) fn shown_labels(labels: &Labels) -> BTreeMap<&str, &str> {
    labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

pub(super) fn shown_taints(taints: &[Taint]) -> Vec<ShownTaint<'_>> {
    taints.iter().map(shown_taint).collect()
}

fn shown_taint(taint: &Taint) -> ShownTaint<'_> {
    ShownTaint {
        key: taint.key.as_str(),
        value: taint.value.as_str(),
        effect: taint.effect.name(),
    }
}

impl Check<'_> {
    pub(super) fn labels(&mut self, raw: &BTreeMap<String, Spanned<String>>) -> Labels {
        if let Some((_, first_over)) = raw.iter().nth(NODE_LABELS_MAX) {
            let why = format!("labels: at most {NODE_LABELS_MAX} are taken");
            self.fault(first_over, why);
            return Labels::new();
        }
        let pairs = raw.iter().filter_map(|(key, value)| self.label(key, value));
        pairs.collect()
    }

    fn label(&mut self, key: &str, value: &Spanned<String>) -> Option<(LabelKey, LabelValue)> {
        let key = LabelKey::new(key);
        let read = LabelValue::new(value.get_ref());
        for error in [key.as_ref().err(), read.as_ref().err()]
            .into_iter()
            .flatten()
        {
            self.fault(value, format!("labels: {error}"));
        }
        key.ok().zip(read.ok())
    }

    /// Taints by key.
    pub(super) fn taints(&mut self, raw: &[RawTaint]) -> Vec<Taint> {
        if let Some(first_over) = raw.get(TAINTS_MAX) {
            let why = format!("taints: at most {TAINTS_MAX} are taken");
            self.fault(&first_over.key, why);
            return Vec::new();
        }
        let mut taints = BTreeMap::new();
        for raw in raw {
            let Some(taint) = self.taint(raw) else {
                continue;
            };
            if let Some(earlier) = taints.insert(taint.key.clone(), taint) {
                let why = format!("taints: the key {} is also an earlier taint's", earlier.key);
                self.fault(&raw.key, why);
            }
        }
        taints.into_values().collect()
    }

    fn taint(&mut self, raw: &RawTaint) -> Option<Taint> {
        let key = LabelKey::new(raw.key.get_ref());
        if let Err(error) = &key {
            self.fault(&raw.key, format!("taints.key: {error}"));
        }
        let value = match &raw.value {
            None => Some(LabelValue::default()),
            Some(text) => LabelValue::new(text.get_ref())
                .map_err(|error| self.fault(text, format!("taints.value: {error}")))
                .ok(),
        };
        let effect = self.effect(&raw.effect);
        Some(Taint {
            key: key.ok()?,
            value: value?,
            effect: effect?,
        })
    }

    fn effect(&mut self, raw: &Spanned<String>) -> Option<TaintEffect> {
        let effect = TaintEffect::named(raw.get_ref());
        if effect.is_none() {
            let names: Vec<&str> = TaintEffect::ALL
                .into_iter()
                .map(TaintEffect::name)
                .collect();
            let (got, known) = (raw.get_ref().escape_debug(), names.join(" or "));
            self.fault(
                raw,
                format!("taints.effect: `{got}` is not supported; this version supports {known}"),
            );
        }
        effect
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use std::{fmt::Write as _, path::Path};

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("agent.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn labels_and_taints_are_read_in_order_of_their_keys_and_printed_the_same() {
        let text = "node = 'x'\n[labels]\nzone = 'a'\n'example.com/pool' = ''\n\
                    [[taints]]\nkey = 'slow'\neffect = 'NoSchedule'\n\
                    [[taints]]\nkey = 'dedicated'\nvalue = 'ml'\neffect = 'NoSchedule'\n";
        let config = parse(text).unwrap();
        let labels: Vec<String> = config
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(labels, ["example.com/pool=", "zone=a"]);
        let taints: Vec<String> = config.taints.iter().map(ToString::to_string).collect();
        assert_eq!(taints, ["dedicated=ml:NoSchedule", "slow:NoSchedule"]);
        assert_eq!(parse(&config.to_toml()), Ok(config));
    }

    #[test]
    fn every_bad_label_and_taint_is_named_with_its_line() {
        let error = parse(
            "[labels]\nzone = 'a b'\n'-x' = 'y'\n\
             [[taints]]\nkey = 'a'\neffect = 'NoExecute'\n\
             [[taints]]\nkey = 'b'\neffect = 'NoSchedule'\n\
             [[taints]]\nkey = 'b'\nvalue = '/'\neffect = 'NoSchedule'\n\
             [[taints]]\nkey = 'b'\neffect = 'NoSchedule'\n",
        )
        .unwrap_err();
        for expected in [
            "line 2: labels: `a b` is no label value",
            "line 3: labels: `-x` is no label key",
            "line 6: taints.effect: `NoExecute` is not supported; this version supports NoSchedule",
            "line 12: taints.value: `/` is no label value",
            "line 15: taints: the key b is also an earlier taint's",
        ] {
            assert!(error.contains(expected), "{expected} not in {error}");
        }
    }

    #[test]
    fn a_taint_says_its_effect_and_a_node_has_an_end_to_both() {
        let error = parse("[[taints]]\nkey = 'a'\n").unwrap_err();
        assert!(error.contains("missing field `effect`"), "{error}");
        let mut text = "[labels]\n".to_owned();
        (0..65).for_each(|n| writeln!(text, "l{n} = ''").unwrap());
        (0..17).for_each(|n| {
            writeln!(text, "[[taints]]\nkey = 't{n}'\neffect = 'NoSchedule'").unwrap();
        });
        let error = parse(&text).unwrap_err();
        assert!(error.contains("at most 64 are taken"), "{error}");
        assert!(error.contains("at most 16 are taken"), "{error}");
    }
}
