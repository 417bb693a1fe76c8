//! A gang starts whole or not at all.

use crate::decide::Ask;
use dovetail_model::reason::Reason;

/// Refuses a gang of which only this many members fit.
pub(crate) fn refuses(ask: &Ask<'_>, fit: u32) -> Option<Reason> {
    let asked = ask.spec.gang_size;
    (fit < asked).then_some(Reason::GangIncomplete { asked, fit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, spec, tenant};

    #[test]
    fn a_gang_is_placed_whole_or_not_at_all() {
        let (tenant, mut spec) = (tenant("a"), spec("w"));
        spec.gang_size = 2;
        let ask = ask(1, &tenant, &spec);
        let (asked, fit) = (2, 1);
        assert_eq!(
            refuses(&ask, 1),
            Some(Reason::GangIncomplete { asked, fit })
        );
        assert_eq!(refuses(&ask, 2), None);
    }
}
