//! Different tenants do not share a GPU, unless the operator says so.

use crate::{decide::Ask, policy::Policy, view::GpuView};
use dovetail_model::{reason::Reason, resources::GpuRequest};

pub(super) fn refuses(
    gpu: &GpuView,
    _: &GpuRequest,
    ask: &Ask<'_>,
    policy: &Policy,
) -> Option<Reason> {
    let mut holders = gpu.holders.iter();
    let foreign = !policy.tenants_share_gpus && holders.any(|(_, tenant)| tenant != ask.tenant);
    foreign.then_some(Reason::TenantMismatch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, share, slice, spec, tenant};

    #[test]
    fn another_tenant_is_let_in_only_by_policy() {
        let (us, them, spec) = (tenant("us"), tenant("them"), spec("w"));
        let ask = ask(1, &us, &spec);
        let mut gpu = node("n", 1).gpus.remove(0);
        let verdict = |gpu: &GpuView, policy: &Policy| refuses(gpu, &share(100), &ask, policy);
        gpu.holders.push((slice(7), us.clone()));
        assert_eq!(verdict(&gpu, &Policy::default()), None);
        gpu.holders.push((slice(8), them));
        assert_eq!(
            verdict(&gpu, &Policy::default()),
            Some(Reason::TenantMismatch)
        );
        let shared = Policy {
            tenants_share_gpus: true,
            ..Policy::default()
        };
        assert_eq!(verdict(&gpu, &shared), None);
    }
}
