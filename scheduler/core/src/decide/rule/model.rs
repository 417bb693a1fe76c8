//! The GPU's model is one of those wanted; none named means every model.

use crate::{decide::Ask, policy::Policy, view::GpuView};
use dovetail_model::{reason::Reason, resources::GpuRequest};

pub(super) fn refuses(
    gpu: &GpuView,
    request: &GpuRequest,
    _: &Ask<'_>,
    _: &Policy,
) -> Option<Reason> {
    let mut models = request.models.iter();
    let wanted =
        request.models.is_empty() || models.any(|model| model.matches(&gpu.model, &gpu.name));
    let mismatch = || Reason::GpuModelMismatch {
        model: gpu.model.to_string(),
    };
    (!wanted).then(mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{ask, node, spec, tenant, whole};
    use dovetail_model::gpu::ModelPattern;

    #[test]
    fn any_of_the_named_models_will_do() {
        let (tenant, spec) = (tenant("a"), spec("w"));
        let ask = ask(1, &tenant, &spec);
        let gpu = &node("n", 1).gpus[0];
        let verdict = |models: &[&str]| {
            let mut request = whole(1);
            request.models = models
                .iter()
                .map(|model| ModelPattern::new(model))
                .collect();
            refuses(gpu, &request, &ask, &Policy::default())
        };
        assert_eq!(verdict(&[]), None);
        assert_eq!(verdict(&["A100", "h100-80"]), None);
        let model = "H100-80".to_owned();
        assert_eq!(verdict(&["A100"]), Some(Reason::GpuModelMismatch { model }));
    }
}
