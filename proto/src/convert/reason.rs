//! Reasons on the wire.

use crate::v1;
use dovetail_model::reason::Reason;

/// A reason with its token, its sentence and its numbers.
pub fn to_wire(reason: &Reason) -> v1::Reason {
    let amounts = reason.amounts();
    v1::Reason {
        token: reason.token().to_owned(),
        text: reason.to_string(),
        asked: amounts.map(|(asked, _)| asked),
        free: amounts.map(|(_, free)| free),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_model::units::CpuMilli;

    #[test]
    fn a_reason_carries_token_sentence_and_numbers() {
        let wire = to_wire(&Reason::InsufficientCpu {
            asked: CpuMilli(2000),
            free: CpuMilli(500),
        });
        assert_eq!(wire.token, "InsufficientCpu");
        assert_eq!(wire.text, "needs 2 CPU, 0.5 free");
        assert_eq!((wire.asked, wire.free), (Some(2000), Some(500)));
        assert_eq!(to_wire(&Reason::NoGpu).asked, None);
    }
}
