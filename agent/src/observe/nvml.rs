//! The calls into the driver's management library. Every one may hang: they run on one thread.

use super::{gpu::GpuFacts, process::ProcessOwner};
use dovetail_model::{
    gpu::{GpuHealth, GpuModel},
    id::GpuUuid,
    node::GpuSample,
    units::Bytes,
};
use nvml_wrapper::{
    Device, Nvml, enums::device::UsedGpuMemory, error::NvmlError,
    struct_wrappers::device::ProcessInfo,
};
use std::path::Path;
use tracing::warn;

/// Loads the library and attaches to the driver.
pub(super) fn load(library: &Path) -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(library.as_os_str()).init()
}

/// GPUs by index. One that cannot say what it is cannot be declared: it is logged and left out.
pub(super) fn enumerate(nvml: &Nvml) -> Result<Vec<GpuFacts>, NvmlError> {
    let mut found = Vec::new();
    for index in 0..nvml.device_count()? {
        match nvml.device_by_index(index).and_then(|d| facts(&d, index)) {
            Ok(facts) => found.push(facts),
            Err(error) => warn!(gpu = index, %error, "GPU does not say what it is"),
        }
    }
    Ok(found)
}

fn facts(device: &Device<'_>, index: u32) -> Result<GpuFacts, NvmlError> {
    let memory = device.memory_info()?;
    let name = device.name()?;
    Ok(GpuFacts {
        uuid: GpuUuid(device.uuid()?.into()),
        index,
        model: GpuModel::of(&name, Bytes(memory.total)),
        name,
        // What the driver keeps for itself nobody can be given.
        memory: Bytes(memory.total).minus(Bytes(memory.reserved)),
        minor: device.minor_number().ok(),
        pci_bus_id: device.pci_info().map(|pci| pci.bus_id).unwrap_or_default(),
    })
}

/// Health and measurements of one GPU. What it does not answer is absent, not zero.
pub(super) fn measure(nvml: &Nvml, index: u32) -> (GpuHealth, GpuSample) {
    let device = match nvml.device_by_index(index) {
        Ok(device) => device,
        Err(error) => return (health(&error), GpuSample::default()),
    };
    let utilization = device.utilization_rates();
    let memory = device.memory_info();
    let power = device.power_usage();
    let errors = [
        utilization.as_ref().err(),
        memory.as_ref().err(),
        power.as_ref().err(),
    ];
    let is_lost = |error| health(error) == GpuHealth::Lost;
    let lost = errors.into_iter().flatten().any(is_lost);
    let sample = GpuSample {
        utilization_percent: utilization.ok().map(|u| u.gpu),
        memory: memory.ok().map(|m| Bytes(m.used)),
        power_milliwatts: power.ok(),
        external: Bytes::ZERO,
    };
    let health = if lost { GpuHealth::Lost } else { GpuHealth::Ok };
    (health, sample)
}

/// Memory in use by processes that are no slice's: costly, so asked for rarely.
pub(super) fn external(nvml: &Nvml, index: u32, owner: &ProcessOwner) -> Option<Bytes> {
    let device = nvml.device_by_index(index).ok()?;
    let compute = device.running_compute_processes().ok()?;
    let graphics = device.running_graphics_processes().unwrap_or_default();
    let foreign = |process: &&ProcessInfo| !owner.is_slice(process.pid);
    let used = |process: &ProcessInfo| match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Bytes(bytes),
        UsedGpuMemory::Unavailable => Bytes::ZERO,
    };
    let all = compute.iter().chain(&graphics);
    Some(all.filter(foreign).map(used).sum())
}

fn health(error: &NvmlError) -> GpuHealth {
    match error {
        // Not on the bus, or not in the driver's list any more.
        NvmlError::GpuLost | NvmlError::NotFound | NvmlError::InvalidArg => GpuHealth::Lost,
        _ => GpuHealth::Ok,
    }
}
