//! A GPU that is lost or does not answer takes nothing.

use crate::{decide::Ask, policy::Policy, view::GpuView};
use dovetail_model::{gpu::GpuHealth, reason::Reason, resources::GpuRequest};

pub(super) fn refuses(gpu: &GpuView, _: &GpuRequest, _: &Ask<'_>, _: &Policy) -> Option<Reason> {
    let unhealthy = || Reason::GpuUnhealthy {
        health: gpu.health.to_string(),
    };
    (gpu.health != GpuHealth::Ok).then(unhealthy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, spec, tenant, whole};

    #[test]
    fn only_a_healthy_gpu_takes_work() {
        let (tenant, spec) = (tenant("a"), spec("w"));
        let ask = ask(1, &tenant, &spec);
        let mut gpu = node("n", 1).gpus.remove(0);
        assert_eq!(refuses(&gpu, &whole(1), &ask, &Policy::default()), None);
        gpu.health = GpuHealth::Lost;
        let health = "lost".to_owned();
        assert_eq!(
            refuses(&gpu, &whole(1), &ask, &Policy::default()),
            Some(Reason::GpuUnhealthy { health })
        );
    }
}
