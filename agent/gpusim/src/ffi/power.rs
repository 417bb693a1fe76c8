//! Power, energy and temperature.

use super::abi::{Temperature, get_versioned};
use super::device::{Device, number};
use super::export;
use super::pointer::Out;
use super::status::{Answer, Status};
use crate::clock::since_boot_ns;

/// Temperatures at which a data-centre GPU shuts down, and slows down, in degrees Celsius.
const SHUTDOWN_C: u64 = 95;
const SLOWDOWN_C: u64 = 90;
const MEMORY_MAX_C: u64 = 95;
const GPU_MAX_C: u64 = 87;

fn set_power_limit(device: Device, limit_mw: u64) -> Answer {
    let gpu = device.read()?;
    if limit_mw < gpu.power_floor_mw || limit_mw > gpu.power_default_mw {
        return Err(Status::InvalidArgument);
    }
    device.update(|gpu| gpu.power_limit_mw = limit_mw)
}

export! {
    fn nvmlDeviceGetPowerUsage(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.power_mw)
    }

    fn nvmlDeviceGetTotalEnergyConsumption(device: Device, place: Out<u64>) {
        place.check()?;
        place.set(device.read()?.energy_mj_at(since_boot_ns()))
    }

    fn nvmlDeviceGetPowerManagementMode(device: Device, place: Out<u32>) {
        device.report(place, |_| 1)
    }

    fn nvmlDeviceGetPowerManagementLimit(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.power_limit_mw)
    }

    fn nvmlDeviceGetEnforcedPowerLimit(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.power_limit_mw)
    }

    fn nvmlDeviceGetPowerManagementDefaultLimit(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.power_default_mw)
    }

    fn nvmlDeviceGetPowerManagementLimitConstraints(
        device: Device,
        least: Out<u32>,
        most: Out<u32>,
    ) {
        most.check()?;
        device.report(least, |gpu| gpu.power_floor_mw)?;
        device.report(most, |gpu| gpu.power_default_mw)
    }

    fn nvmlDeviceSetPowerManagementLimit(device: Device, limit_mw: u32) {
        set_power_limit(device, limit_mw.into())
    }

    /// Sensor 0, the GPU, is the only one.
    fn nvmlDeviceGetTemperature(device: Device, sensor: u32, place: Out<u32>) {
        if sensor != 0 {
            return Err(Status::InvalidArgument);
        }
        device.report(place, |gpu| gpu.temperature_c)
    }

    fn nvmlDeviceGetTemperatureV(device: Device, place: Out<Temperature>) {
        let asked = get_versioned(place)?;
        if asked.sensor != 0 {
            return Err(Status::InvalidArgument);
        }
        let degrees = number(device.read()?.temperature_c).cast_signed();
        place.set(Temperature { degrees, ..asked })
    }

    fn nvmlDeviceGetTemperatureThreshold(device: Device, kind: u32, place: Out<u32>) {
        let degrees = match kind {
            0 => SHUTDOWN_C,
            1 => SLOWDOWN_C,
            2 => MEMORY_MAX_C,
            3 => GPU_MAX_C,
            4..=7 => return Err(Status::NotSupported),
            _ => return Err(Status::InvalidArgument),
        };
        device.report(place, |_| degrees)
    }
}
