//! Where a GPU sits: PCIe, NUMA, NVLink and its peers.

use super::device::{Device, number};
use super::export;
use super::pointer::Out;
use super::session;
use super::status::{Answer, Status};
use crate::state::GpuRecord;

/// `nvmlGpuTopologyLevel_t`: the same board, the same NUMA node, across the system.
const TOPOLOGY_INTERNAL: u32 = 0;
const TOPOLOGY_NODE: u32 = 40;
const TOPOLOGY_SYSTEM: u32 = 50;
/// `NVML_P2P_CAPS_INDEX_NVLINK`
const P2P_NVLINK: u32 = 2;
/// `NVML_P2P_STATUS_OK`, `NVML_P2P_STATUS_NOT_SUPPORTED`
const P2P_OK: u32 = 0;
const P2P_NOT_SUPPORTED: u32 = 5;
/// `NVML_P2P_CAPS_INDEX_UNKNOWN`
const P2P_INDEXES: u32 = 6;
/// `NVML_NVLINK_MAX_LINKS`
const MAX_NVLINKS: u32 = 18;

/// The CPUs beside a GPU: the first half for NUMA node 0, the second for node 1.
fn near_cpus(gpu: &GpuRecord, cpus: u64) -> std::ops::Range<u64> {
    let half = cpus.div_ceil(2);
    if gpu.numa_node == 0 {
        0..half
    } else {
        half..cpus
    }
}

fn cpu_affinity(device: Device, words: u32, places: Out<u64>) -> Answer {
    places.check()?;
    let gpu = device.read()?;
    let near = near_cpus(&gpu, session::state()?.host().cpus);
    if words == 0 {
        return Err(Status::InvalidArgument);
    }
    if u64::from(words) * 64 < near.end {
        return Err(Status::InsufficientSize);
    }
    let word = |index: u64| {
        let bits = (index * 64..(index + 1) * 64).filter(|cpu| near.contains(cpu));
        bits.fold(0_u64, |mask, cpu| mask | 1 << (cpu % 64))
    };
    (0..u64::from(words))
        .zip(0..)
        .try_for_each(|(index, at)| places.at(at).set(word(index)))
}

fn node_affinity(device: Device, words: u32, places: Out<u64>) -> Answer {
    places.check()?;
    let gpu = device.read()?;
    if words == 0 {
        return Err(Status::InvalidArgument);
    }
    places.set(1 << gpu.numa_node)?;
    (1..words as usize).try_for_each(|at| places.at(at).set(0))
}

/// The GPU, if it has NVLink and such a link.
fn linked(device: Device, link: u32) -> Result<GpuRecord, Status> {
    let gpu = device.read()?;
    match (gpu.nvlinks, u64::from(link)) {
        (0, _) => Err(Status::NotSupported),
        (links, link) if link < links => Ok(gpu),
        _ if link < MAX_NVLINKS => Err(Status::NotSupported),
        _ => Err(Status::InvalidArgument),
    }
}

export! {
    fn nvmlDeviceGetNumaNodeId(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.numa_node)
    }

    fn nvmlDeviceGetCpuAffinity(device: Device, words: u32, places: Out<u64>) {
        cpu_affinity(device, words, places)
    }

    fn nvmlDeviceGetCpuAffinityWithinScope(
        device: Device,
        words: u32,
        places: Out<u64>,
        scope: u32,
    ) {
        if scope > 1 {
            return Err(Status::InvalidArgument);
        }
        cpu_affinity(device, words, places)
    }

    fn nvmlDeviceGetMemoryAffinity(device: Device, words: u32, places: Out<u64>, scope: u32) {
        if scope > 1 {
            return Err(Status::InvalidArgument);
        }
        node_affinity(device, words, places)
    }

    fn nvmlDeviceGetTopologyCommonAncestor(one: Device, other: Device, place: Out<u32>) {
        place.check()?;
        let (first, second) = (one.read()?, other.read()?);
        place.set(match () {
            () if first.pci_bus == second.pci_bus => TOPOLOGY_INTERNAL,
            () if first.numa_node == second.numa_node => TOPOLOGY_NODE,
            () => TOPOLOGY_SYSTEM,
        })
    }

    fn nvmlDeviceGetP2PStatus(one: Device, other: Device, capability: u32, place: Out<u32>) {
        place.check()?;
        let (first, second) = (one.read()?, other.read()?);
        if capability >= P2P_INDEXES || first.pci_bus == second.pci_bus {
            return Err(Status::InvalidArgument);
        }
        let linked = first.nvlinks > 0 && second.nvlinks > 0 && first.model == second.model;
        place.set(if capability == P2P_NVLINK && !linked { P2P_NOT_SUPPORTED } else { P2P_OK })
    }

    fn nvmlDeviceGetNvLinkState(device: Device, link: u32, place: Out<u32>) {
        place.check()?;
        linked(device, link)?;
        place.set(1)
    }

    fn nvmlDeviceGetNvLinkVersion(device: Device, link: u32, place: Out<u32>) {
        place.check()?;
        // NVLink 3 came with Ampere, 4 with Hopper, 5 with Blackwell.
        let version = match linked(device, link)?.architecture {
            ..=8 => 3,
            9 => 4,
            _ => 5,
        };
        place.set(version)
    }

    fn nvmlDeviceGetNvLinkErrorCounter(
        device: Device,
        link: u32,
        counter: u32,
        place: Out<u64>,
    ) {
        place.check()?;
        linked(device, link)?;
        if counter > 4 { Err(Status::InvalidArgument) } else { place.set(0) }
    }

    fn nvmlDeviceGetCurrPcieLinkGeneration(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.pcie_generation)
    }

    fn nvmlDeviceGetMaxPcieLinkGeneration(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.pcie_generation)
    }

    fn nvmlDeviceGetCurrPcieLinkWidth(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.pcie_width)
    }

    fn nvmlDeviceGetMaxPcieLinkWidth(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.pcie_width)
    }

    /// Nothing moves over the simulated bus.
    fn nvmlDeviceGetPcieThroughput(device: Device, counter: u32, place: Out<u32>) {
        if counter > 1 {
            return Err(Status::InvalidArgument);
        }
        device.report(place, |_| 0)
    }

    fn nvmlDeviceGetTopologyNearestGpus(
        device: Device,
        level: u32,
        count: Out<u32>,
        places: Out<Device>,
    ) {
        count.check()?;
        let (index, gpu, state) = (device.index()?, device.read()?, session::state()?);
        let node = |other: usize| state.read(other).map(|other| other.numa_node);
        let near = |other: &usize| match level {
            TOPOLOGY_NODE => node(*other) == Some(gpu.numa_node),
            TOPOLOGY_SYSTEM => node(*other) != Some(gpu.numa_node),
            _ => false,
        };
        let others = (0..state.gpu_count()).filter(|other| *other != index);
        let found: Vec<_> = others.filter(near).map(Device::of_index).collect();
        if places.is_null() {
            return count.set(number(found.len() as u64));
        }
        places.fill_counted(count, &found)
    }
}
