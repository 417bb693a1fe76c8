//! Which policies are asked for: one by its name, or all of them.

use crate::policy::PolicyName;
use clap::{
    ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

/// One value of `--policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Every policy there is.
    All,
    /// This one.
    One(PolicyName),
}

impl Choice {
    /// The policies it stands for.
    pub fn policies(&self) -> &[PolicyName] {
        match self {
            Self::All => PolicyName::value_variants(),
            Self::One(policy) => std::slice::from_ref(policy),
        }
    }
}

/// Reads a choice, and names all of them if it is none.
pub(super) fn parser() -> impl TypedValueParser<Value = Choice> {
    let names = PolicyName::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value);
    PossibleValuesParser::new(names.chain([PossibleValue::new("all")]))
        .map(|text| PolicyName::from_str(&text, false).map_or(Choice::All, Choice::One))
}
