//! ECC and retired memory.

use super::device::{Device, number};
use super::export;
use super::pointer::Out;
use super::status::{Answer, Status};

/// `NVML_MEMORY_LOCATION_DEVICE_MEMORY`, and the last of the locations.
const DEVICE_MEMORY: u32 = 2;
const LAST_LOCATION: u32 = 7;

/// Errors of a `nvmlMemoryErrorType_t`. No count survives a reload of the driver here, so the
/// volatile and the aggregate counter are equal.
fn ecc_errors(device: Device, kind: u32, counter: u32, place: Out<u64>) -> Answer {
    place.check()?;
    let gpu = device.read()?;
    match (kind, counter) {
        (0, 0 | 1) => place.set(gpu.ecc_corrected),
        (1, 0 | 1) => place.set(gpu.ecc_uncorrected),
        _ => Err(Status::InvalidArgument),
    }
}

export! {
    fn nvmlDeviceGetEccMode(device: Device, current: Out<u32>, pending: Out<u32>) {
        pending.check()?;
        device.report(current, |_| 1)?;
        pending.set(1)
    }

    fn nvmlDeviceGetDefaultEccMode(device: Device, place: Out<u32>) { device.report(place, |_| 1) }

    fn nvmlDeviceGetTotalEccErrors(device: Device, kind: u32, counter: u32, place: Out<u64>) {
        ecc_errors(device, kind, counter, place)
    }

    /// All errors are counted in device memory; caches and register files have none.
    fn nvmlDeviceGetMemoryErrorCounter(
        device: Device,
        kind: u32,
        counter: u32,
        location: u32,
        place: Out<u64>,
    ) {
        if location > LAST_LOCATION {
            return Err(Status::InvalidArgument);
        }
        ecc_errors(device, kind, counter, place)?;
        if location == DEVICE_MEMORY { Ok(()) } else { place.set(0) }
    }

    /// Corrected rows, uncorrected rows, remapping pending, remapping failed. Every uncorrected
    /// error of HBM costs a row.
    fn nvmlDeviceGetRemappedRows(
        device: Device,
        corrected: Out<u32>,
        uncorrected: Out<u32>,
        pending: Out<u32>,
        failed: Out<u32>,
    ) {
        let gpu = device.read()?;
        let rows = number(gpu.ecc_uncorrected);
        corrected.set(0)?;
        uncorrected.set(rows)?;
        pending.set(u32::from(rows > 0))?;
        failed.set(0)
    }

    fn nvmlDeviceGetPcieReplayCounter(device: Device, place: Out<u32>) {
        device.report(place, |_| 0)
    }
}
