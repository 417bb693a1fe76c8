//! Clocks, performance states, and why clocks are held back.

use super::device::{Device, number};
use super::export;
use super::pointer::Out;
use super::status::{Answer, Status};
use crate::state::GpuRecord;

/// Video clocks follow the SM clock at this ratio, in percent.
const VIDEO_CLOCK_PERCENT: u64 = 90;
/// The reasons this library can report: idle, clocks setting, software and hardware slowdowns.
const SUPPORTED_REASONS: u64 = 0x1FF;

/// Clock of a `nvmlClockType_t`, from the SM and the memory clock.
fn clock(kind: u32, sm_mhz: u64, memory_mhz: u64) -> Result<u64, Status> {
    match kind {
        0 | 1 => Ok(sm_mhz),
        2 => Ok(memory_mhz),
        3 => Ok(sm_mhz * VIDEO_CLOCK_PERCENT / 100),
        _ => Err(Status::InvalidArgument),
    }
}

fn current_clock(device: Device, kind: u32, place: Out<u32>) -> Answer {
    place.check()?;
    let gpu = device.read()?;
    place.set(number(clock(kind, gpu.sm_clock_mhz, gpu.memory_clock_mhz)?))
}

fn highest_clock(device: Device, kind: u32, place: Out<u32>) -> Answer {
    place.check()?;
    let gpu = device.read()?;
    place.set(number(clock(
        kind,
        gpu.sm_clock_max_mhz,
        gpu.memory_clock_max_mhz,
    )?))
}

fn reasons(device: Device, place: Out<u64>, of: impl Fn(&GpuRecord) -> u64) -> Answer {
    place.check()?;
    place.set(of(&device.read()?))
}

export! {
    fn nvmlDeviceGetClockInfo(device: Device, kind: u32, place: Out<u32>) {
        current_clock(device, kind, place)
    }

    fn nvmlDeviceGetMaxClockInfo(device: Device, kind: u32, place: Out<u32>) {
        highest_clock(device, kind, place)
    }

    fn nvmlDeviceGetMaxCustomerBoostClock(device: Device, kind: u32, place: Out<u32>) {
        highest_clock(device, kind, place)
    }

    /// `which`: 0 current, 1 and 2 application targets, 3 the highest for customers.
    fn nvmlDeviceGetClock(device: Device, kind: u32, which: u32, place: Out<u32>) {
        match which {
            0 => current_clock(device, kind, place),
            1..=3 => highest_clock(device, kind, place),
            _ => Err(Status::InvalidArgument),
        }
    }

    fn nvmlDeviceGetSupportedMemoryClocks(device: Device, count: Out<u32>, clocks: Out<u32>) {
        count.check()?;
        let clock = number(device.read()?.memory_clock_max_mhz);
        clocks.fill_counted(count, &[clock])
    }

    /// P0 while anything runs, P8 when idle; there is nothing between on data-centre GPUs.
    fn nvmlDeviceGetPerformanceState(device: Device, place: Out<u32>) {
        device.report(place, |gpu| if gpu.utilization > 0 { 0 } else { 8 })
    }

    fn nvmlDeviceGetCurrentClocksThrottleReasons(device: Device, place: Out<u64>) {
        reasons(device, place, |gpu| gpu.clock_event_reasons)
    }

    fn nvmlDeviceGetCurrentClocksEventReasons(device: Device, place: Out<u64>) {
        reasons(device, place, |gpu| gpu.clock_event_reasons)
    }

    fn nvmlDeviceGetSupportedClocksThrottleReasons(device: Device, place: Out<u64>) {
        reasons(device, place, |_| SUPPORTED_REASONS)
    }

    fn nvmlDeviceGetSupportedClocksEventReasons(device: Device, place: Out<u64>) {
        reasons(device, place, |_| SUPPORTED_REASONS)
    }
}
