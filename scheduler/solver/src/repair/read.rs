//! From the values of a model to steps and places.

use super::{
    highs::Values,
    model::{Column, Model},
};
use dovetail_core::{
    packing::Gpus,
    problem::{
        exact::Slot,
        repair::{Repair, Repaired, Step},
    },
};

/// Where everybody ends, the steps in no order yet; nothing if the values make no sense.
pub(super) fn end(repair: &Repair, model: &Model, values: &Values) -> Option<Repaired> {
    let of = |column: Column| {
        let value = values.get(&column).copied().unwrap_or(0);
        usize::try_from(value).unwrap_or(usize::MAX)
    };
    let mut steps = Vec::new();
    for group in 0..model.groups.len() {
        let mut places = places(repair, model, group, &of)?.into_iter();
        let parties = model.parties.iter().enumerate();
        for (index, party) in parties.filter(|(_, party)| party.group == group) {
            let stay = of(Column::Stay(index));
            let going = party.residents.get(stay..)?;
            let stopped = of(Column::Stop(index));
            for (number, resident) in going.iter().enumerate() {
                let to = if number < stopped {
                    None
                } else {
                    Some(places.next()?)
                };
                steps.push(Step {
                    resident: *resident,
                    to,
                });
            }
        }
    }
    let slots = places(repair, model, model.groups.len(), &of)?;
    let costs = steps.iter().map(|step| repair.cost(step));
    let cost = costs.sum::<Option<u64>>()?;
    Some(Repaired { steps, slots, cost })
}

/// Where newcomers of a group, or the blocked, go.
fn places(
    repair: &Repair,
    model: &Model,
    comer: usize,
    of: &dyn Fn(Column) -> usize,
) -> Option<Vec<Slot>> {
    let mut places = Vec::new();
    let each = match model.demand(repair, comer).gpus {
        Gpus::None => 0,
        Gpus::Share => 1,
        Gpus::Whole(count) => count as usize,
    };
    for (node, room) in repair.bare.iter().enumerate() {
        let on = |gpu: usize| vec![gpu; of(Column::On(comer, node, gpu)).min(u16::MAX.into())];
        let gpus: Vec<usize> = (0..room.gpus.len()).flat_map(on).collect();
        for number in 0..of(Column::Come(comer, node)) {
            let mine = gpus.get(number * each..(number + 1) * each)?;
            let gpus = mine.to_vec();
            places.push(Slot { node, gpus });
        }
    }
    Some(places)
}
