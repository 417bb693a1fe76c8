//! The records of a fresh host: what its file says, and identities that no other host has.

use std::fmt::Write as _;
use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::clock::since_boot_ns;
use crate::host_file::HostFile;
use crate::models::Model;
use crate::state::{GpuRecord, HostRecord, Text};

/// What never changes about the host.
pub(crate) fn host_record(file: &HostFile) -> HostRecord {
    HostRecord {
        gpu_count: file.gpu_count() as u64,
        cpus: file.cpus.into(),
        cuda_version: cuda_version(&file.driver_version),
        name: Text::new(&file.name),
        driver_version: Text::new(&file.driver_version),
    }
}

/// The newest CUDA version that a driver branch supports, as NVML writes it: 13000 for 13.0.
fn cuda_version(driver_version: &str) -> u64 {
    let major = driver_version
        .split('.')
        .next()
        .and_then(|part| part.parse::<u32>().ok());
    match major.unwrap_or(0) {
        615.. => 13_040,
        590.. => 13_010,
        580.. => 13_000,
        575.. => 12_090,
        570.. => 12_080,
        550.. => 12_040,
        535.. => 12_020,
        525.. => 12_000,
        _ => 11_040,
    }
}

/// The GPUs of a fresh host: idle, healthy, with the given device minors.
pub(crate) fn gpu_records(file: &HostFile, minors: Range<u64>) -> Vec<GpuRecord> {
    let gpus = file.gpu_count();
    let since_ns = since_boot_ns();
    let record = |(index, (model, minor))| GpuRecord {
        uuid: Text::new(&uuid(&file.name, index)),
        serial: Text::new(&serial(&file.name, index)),
        minor,
        // Spread as on real boards, where other devices sit between; 32 GPUs reach bus 0xE0.
        pci_bus: 7 * (index as u64 + 1),
        numa_node: u64::from(index * 2 >= gpus && gpus > 1),
        energy_since_ns: since_ns,
        ..idle_gpu(model)
    };
    file.gpu_models()
        .zip(minors)
        .enumerate()
        .map(record)
        .collect()
}

/// An idle GPU of a model, without what tells it from its siblings.
fn idle_gpu(model: &Model) -> GpuRecord {
    GpuRecord {
        name: Text::new(model.name),
        model: Text::new(model.key),
        pci_device_id: model.pci_device_id.into(),
        memory_total_bytes: model.memory_mib << 20,
        memory_reserved_bytes: model.reserved_mib << 20,
        compute_capability_major: model.compute_capability.0.into(),
        compute_capability_minor: model.compute_capability.1.into(),
        architecture: model.architecture.into(),
        multiprocessors: model.multiprocessors.into(),
        cores: model.cores.into(),
        memory_bus_bits: model.memory_bus_bits.into(),
        power_mw: u64::from(model.idle_power_w) * 1_000,
        power_limit_mw: u64::from(model.power_limit_w) * 1_000,
        power_floor_mw: u64::from(model.power_floor_w) * 1_000,
        power_default_mw: u64::from(model.power_limit_w) * 1_000,
        temperature_c: 32,
        sm_clock_mhz: 345,
        sm_clock_max_mhz: model.sm_clock_mhz.into(),
        memory_clock_mhz: model.memory_clock_mhz.into(),
        memory_clock_max_mhz: model.memory_clock_mhz.into(),
        // nvmlClocksEventReasonGpuIdle
        clock_event_reasons: 1,
        pcie_generation: model.pcie_generation.into(),
        pcie_width: 16,
        nvlinks: model.nvlinks.into(),
        persistence_mode: 1,
        ..GpuRecord::default()
    }
}

/// A UUID that is always the same for the same host name and index, and differs for any other.
fn uuid(host: &str, index: usize) -> String {
    let hex = identity(host, index, "uuid");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..32],
    ];
    format!("GPU-{}", parts.join("-"))
}

/// A serial number of 13 digits, as on real boards.
fn serial(host: &str, index: usize) -> String {
    let hex = identity(host, index, "serial");
    let number = u64::from_str_radix(&hex[..12], 16).expect("12 hexadecimal digits fit");
    format!("{:013}", number % 10_000_000_000_000)
}

fn identity(host: &str, index: usize, what: &str) -> String {
    let digest = Sha256::digest(format!("dovetail-gpusim {what} {host}/{index}"));
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string does not fail");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_stable_and_unique_across_hosts() {
        let mut seen = std::collections::BTreeSet::new();
        for host in ["a", "b", "a1"] {
            for index in 0..32 {
                assert_eq!(uuid(host, index), uuid(host, index));
                assert!(seen.insert(uuid(host, index)) && seen.insert(serial(host, index)));
            }
        }
        let uuid = uuid("a", 0);
        assert_eq!((uuid.len(), uuid.matches('-').count()), (40, 5));
    }

    #[test]
    fn the_cuda_version_follows_the_driver() {
        assert_eq!(cuda_version("580.95.05"), 13_000);
        assert_eq!(cuda_version("535.261.03"), 12_020);
    }
}
