//! Device handles, and the record behind each.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::export;
use super::pointer::{Out, TextIn};
use super::session;
use super::status::{Answer, Status};
use crate::host_file::MAX_GPUS;
use crate::state::{GpuRecord, State};

/// `nvmlDevice_t`: the address of an element of `HANDLES`, never followed.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Device(*mut c_void);

/// Gives each GPU an address that no other library hands out.
static HANDLES: [AtomicU64; MAX_GPUS] = [const { AtomicU64::new(0) }; MAX_GPUS];

impl Device {
    pub(super) fn of_index(index: usize) -> Self {
        Self((&raw const HANDLES[index]).cast_mut().cast())
    }

    /// The index of the GPU, whether it answers or not.
    pub(super) fn index(self) -> Result<usize, Status> {
        let state = session::state()?;
        let index = (0..state.gpu_count()).find(|index| Self::of_index(*index).0 == self.0);
        index.ok_or(Status::InvalidArgument)
    }

    /// What the GPU reports now. Injected delays and faults act here, so on every call alike.
    pub(super) fn read(self) -> Result<GpuRecord, Status> {
        let index = self.index()?;
        let state = session::state()?;
        read_gpu(&state, index)
    }

    /// Changes the GPU, as its administrator.
    pub(super) fn update(self, change: impl FnOnce(&mut GpuRecord)) -> Answer {
        self.read()?;
        let updated = session::state()?.update(self.index()?, change);
        updated
            .map_err(|_| Status::NoPermission)?
            .ok_or(Status::InvalidArgument)
    }

    /// Writes one number that the GPU reports.
    pub(super) fn report(self, place: Out<u32>, value: impl Fn(&GpuRecord) -> u64) -> Answer {
        place.check()?;
        place.set(number(value(&self.read()?)))
    }
}

/// A number of the record as NVML's `unsigned int`.
pub(super) fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn read_gpu(state: &Arc<State>, index: usize) -> Result<GpuRecord, Status> {
    let mut gpu = state.read(index).ok_or(Status::InvalidArgument)?;
    if gpu.hang_ms > 0 {
        std::thread::sleep(Duration::from_millis(gpu.hang_ms));
        gpu = state.read(index).ok_or(Status::InvalidArgument)?;
    }
    match gpu.fault {
        0 => Ok(gpu),
        fault => Err(Status::of_fault(fault)),
    }
}

/// The handle of the GPU that `wanted` accepts. GPUs that do not answer are passed over unless
/// they are the one.
fn find(place: Out<Device>, wanted: impl Fn(&GpuRecord) -> bool) -> Answer {
    place.check()?;
    let state = session::state()?;
    let matches = |index: &usize| state.read(*index).is_some_and(|gpu| wanted(&gpu));
    let index = (0..state.gpu_count())
        .find(matches)
        .ok_or(Status::NotFound)?;
    read_gpu(&state, index)?;
    place.set(Device::of_index(index))
}

fn count(place: Out<u32>) -> Answer {
    place.check()?;
    place.set(number(session::state()?.gpu_count() as u64))
}

fn by_index(index: u32, place: Out<Device>) -> Answer {
    place.check()?;
    let state = session::state()?;
    let index = index as usize;
    if index >= state.gpu_count() {
        return Err(Status::InvalidArgument);
    }
    read_gpu(&state, index)?;
    place.set(Device::of_index(index))
}

fn by_pci_bus(text: TextIn, place: Out<Device>) -> Answer {
    let wanted = parse_pci_bus_id(&text.get()?).ok_or(Status::InvalidArgument)?;
    find(place, |gpu| gpu.pci_bus == wanted)
}

/// The bus of `domain:bus:device.function`; all but the bus must be 0 here.
fn parse_pci_bus_id(text: &str) -> Option<u64> {
    let (address, function) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = address
        .rsplit(':')
        .map(|part| u64::from_str_radix(part, 16).ok());
    let (device, bus, domain) = (
        parts.next()??,
        parts.next()??,
        parts.next().unwrap_or(Some(0))?,
    );
    let simulated = device == 0 && domain == 0 && function == "0" && parts.next().is_none();
    // An address that is well formed but elsewhere is one that no GPU has.
    Some(if simulated { bus } else { u64::MAX })
}

export! {
    fn nvmlDeviceGetCount(place: Out<u32>) { count(place) }
    fn nvmlDeviceGetCount_v2(place: Out<u32>) { count(place) }
    fn nvmlDeviceGetHandleByIndex(index: u32, place: Out<Device>) { by_index(index, place) }
    fn nvmlDeviceGetHandleByIndex_v2(index: u32, place: Out<Device>) { by_index(index, place) }

    fn nvmlDeviceGetHandleByUUID(uuid: TextIn, place: Out<Device>) {
        let wanted = uuid.get()?;
        find(place, |gpu| gpu.uuid.to_string() == wanted)
    }

    fn nvmlDeviceGetHandleBySerial(serial: TextIn, place: Out<Device>) {
        let wanted = serial.get()?;
        find(place, |gpu| gpu.serial.to_string() == wanted)
    }

    fn nvmlDeviceGetHandleByPciBusId(bus_id: TextIn, place: Out<Device>) {
        by_pci_bus(bus_id, place)
    }

    fn nvmlDeviceGetHandleByPciBusId_v2(bus_id: TextIn, place: Out<Device>) {
        by_pci_bus(bus_id, place)
    }

    fn nvmlDeviceGetIndex(device: Device, place: Out<u32>) {
        place.check()?;
        device.read()?;
        place.set(number(device.index()? as u64))
    }

    fn nvmlDeviceValidateInforom(device: Device) { device.read().map(|_| ()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_are_read_with_and_without_domain_and_function() {
        for text in ["00000000:1C:00.0", "0000:1c:00.0", "1C:00.0", "1C:00"] {
            assert_eq!(parse_pci_bus_id(text), Some(0x1C), "{text}");
        }
        assert_eq!(parse_pci_bus_id("0001:1C:00.0"), Some(u64::MAX));
        assert_eq!(parse_pci_bus_id("nonsense"), None);
    }
}
