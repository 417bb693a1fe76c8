//! Workloads on the wire.

use dovetail_core::{
    effect::WorkloadView,
    event::End,
    state::{Member, WorkloadState},
};
use dovetail_proto::{
    convert::{
        enums::{cause_to_wire, level_to_wire},
        grant::placement_to_wire,
        reason,
        report::exit_record_to_wire,
        time::timestamp,
        workload::spec_to_wire,
    },
    v1,
};

/// Shown instead of a value that others may not see.
const HIDDEN: &str = "***";

/// A workload as the caller may see it.
pub(crate) fn workload(view: &WorkloadView) -> v1::Workload {
    let workload = &view.workload;
    let mut spec = spec_to_wire(&workload.spec);
    if !view.show_env {
        let names = workload.spec.env.keys().cloned();
        spec.env = names.map(|name| (name, HIDDEN.to_owned())).collect();
    }
    let members = workload.members.iter().enumerate();
    v1::Workload {
        id: workload.id.to_string(),
        tenant: workload.tenant.to_string(),
        spec: Some(spec),
        state: state(view.state).into(),
        cause: cause(view).into(),
        attempt: workload.attempt,
        members: members
            .map(|(index, member)| show_member(view, index, member))
            .collect(),
        submitted_at: Some(timestamp(workload.submitted_at)),
        ended_at: workload.end.as_ref().map(|(_, at)| timestamp(*at)),
        reason: view.reason.as_ref().map(reason::to_wire),
        revision: workload.changed.0,
        uid: workload.owner.uid,
    }
}

fn show_member(view: &WorkloadView, index: usize, member: &Member) -> v1::Member {
    let member_state = view.member_states.get(index).copied();
    v1::Member {
        index: member.placement.slice.member,
        placement: Some(placement_to_wire(&member.placement)),
        state: member_state
            .map_or(v1::WorkloadState::Unspecified, state)
            .into(),
        exit: member.exit.as_ref().map(exit_record_to_wire),
        level: member
            .level
            .map_or(v1::Level::Unspecified, level_to_wire)
            .into(),
        cpu_used_ns: view.cpu_used_ns.get(index).copied().unwrap_or(0),
    }
}

/// What ended it: its failure, else what its members ended by.
fn cause(view: &WorkloadView) -> v1::Cause {
    match &view.workload.end {
        None => v1::Cause::Unspecified,
        Some((End::Failed(cause), _)) => cause_to_wire(cause),
        Some((End::Succeeded, _)) => v1::Cause::Exit,
        Some((End::Cancelled, _)) => v1::Cause::Evicted,
        Some((End::Lost, _)) => v1::Cause::NodeLost,
    }
}

/// Where it is in its life.
pub(crate) fn state(state: WorkloadState) -> v1::WorkloadState {
    match state {
        WorkloadState::Pending => v1::WorkloadState::Pending,
        WorkloadState::Reserved => v1::WorkloadState::Reserved,
        WorkloadState::Starting => v1::WorkloadState::Starting,
        WorkloadState::Running => v1::WorkloadState::Running,
        WorkloadState::Stopping => v1::WorkloadState::Stopping,
        WorkloadState::Succeeded => v1::WorkloadState::Succeeded,
        WorkloadState::Failed => v1::WorkloadState::Failed,
        WorkloadState::Cancelled => v1::WorkloadState::Cancelled,
        WorkloadState::Lost => v1::WorkloadState::Lost,
    }
}

/// A state from a filter; absent: it names none.
pub(crate) fn state_from_wire(number: i32) -> Option<WorkloadState> {
    const STATES: [WorkloadState; 9] = [
        WorkloadState::Pending,
        WorkloadState::Reserved,
        WorkloadState::Starting,
        WorkloadState::Running,
        WorkloadState::Stopping,
        WorkloadState::Succeeded,
        WorkloadState::Failed,
        WorkloadState::Cancelled,
        WorkloadState::Lost,
    ];
    STATES
        .into_iter()
        .find(|known| i32::from(state(*known)) == number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_core::state::Workload;
    use dovetail_model::{
        id::{Revision, Tenant, WorkloadId},
        time::WallNs,
        workload::{Owner, WorkloadSpec},
    };

    #[test]
    fn values_of_env_are_shown_to_their_owner_only() {
        let mut spec = WorkloadSpec::example("a");
        spec.env.insert("TOKEN".to_owned(), "secret".to_owned());
        let workload = Workload {
            id: WorkloadId(1),
            tenant: Tenant("uid:1".into()),
            owner: Owner {
                uid: 1,
                gid: 1,
                groups: vec![],
            },
            spec: spec.into(),
            submitted_at: WallNs(1),
            attempt: 0,
            members: vec![],
            placed_at: WallNs(0),
            cancelled: false,
            not_before: WallNs(0),
            end: None,
            changed: Revision(1),
        };
        let mut view = WorkloadView {
            workload,
            state: WorkloadState::Pending,
            member_states: vec![],
            reason: None,
            cpu_used_ns: vec![],
            show_env: true,
        };
        assert_eq!(super::workload(&view).spec.unwrap().env["TOKEN"], "secret");
        view.show_env = false;
        assert_eq!(super::workload(&view).spec.unwrap().env["TOKEN"], HIDDEN);
    }

    #[test]
    fn filters_name_states_as_replies_do() {
        for number in 1..=10 {
            let known = state_from_wire(number);
            // SUSPENDED is not used by this version.
            assert_eq!(known.is_some(), number != 6, "{number}");
            assert!(known.is_none_or(|known| i32::from(state(known)) == number));
        }
        assert_eq!((state_from_wire(0), state_from_wire(11)), (None, None));
    }
}
