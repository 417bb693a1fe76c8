//! Device memory.

use super::abi::{Bar1Memory, Memory, MemoryV2, set_versioned};
use super::device::Device;
use super::export;
use super::pointer::Out;

/// The driver's own use of the BAR1 aperture.
const BAR1_USED: u64 = 2 << 20;

export! {
    /// The first version counts what the driver keeps as used.
    fn nvmlDeviceGetMemoryInfo(device: Device, place: Out<Memory>) {
        place.check()?;
        let gpu = device.read()?;
        let used = gpu.memory_used().0 + gpu.memory_reserved_bytes;
        place.set(Memory { total: gpu.memory_total_bytes, free: gpu.memory_free().0, used })
    }

    fn nvmlDeviceGetMemoryInfo_v2(device: Device, place: Out<MemoryV2>) {
        place.check()?;
        let gpu = device.read()?;
        set_versioned(place, MemoryV2 {
            version: place.get()?.version,
            total: gpu.memory_total_bytes,
            reserved: gpu.memory_reserved_bytes,
            free: gpu.memory_free().0,
            used: gpu.memory_used().0,
        })
    }

    /// Data-centre GPUs map all of their memory, rounded up to a power of two.
    fn nvmlDeviceGetBAR1MemoryInfo(device: Device, place: Out<Bar1Memory>) {
        place.check()?;
        let total = device.read()?.memory_total_bytes.next_power_of_two();
        place.set(Bar1Memory { total, free: total - BAR1_USED, used: BAR1_USED })
    }
}
