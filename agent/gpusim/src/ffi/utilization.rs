//! How busy a GPU is: rates, samples and field values.

use super::abi::{FieldValue, Sample, Utilization};
use super::device::{Device, number};
use super::export;
use super::pointer::Out;
use super::process::now_us;
use super::status::{Answer, Status};
use crate::clock::since_boot_ns;
use crate::state::GpuRecord;

/// The period over which the driver averages, in microseconds.
const SAMPLING_PERIOD_US: u32 = 167_000;
/// `NVML_VALUE_TYPE_UNSIGNED_INT`
const UNSIGNED_INT: u32 = 1;
/// `NVML_VALUE_TYPE_UNSIGNED_LONG_LONG`
const UNSIGNED_LONG_LONG: u32 = 3;
/// Field values in one call; NVML itself has fewer fields than this.
const MAX_FIELD_VALUES: i32 = 1_024;

/// The value of a `nvmlSamplingType_t`.
fn sampled(gpu: &GpuRecord, kind: u32) -> Result<u64, Status> {
    match kind {
        0 => Ok(gpu.power_mw),
        1 => Ok(gpu.utilization),
        2 => Ok(gpu.memory_utilization),
        3 => Ok(gpu.encoder_utilization),
        4 => Ok(gpu.decoder_utilization),
        5 => Ok(gpu.sm_clock_mhz),
        6 => Ok(gpu.memory_clock_mhz),
        _ => Err(Status::InvalidArgument),
    }
}

/// The fields whose ids did not change between driver branches.
fn field(gpu: &GpuRecord, id: u32) -> Option<(u32, u64)> {
    match id {
        // NVML_FI_DEV_ECC_CURRENT, NVML_FI_DEV_ECC_PENDING
        1 | 2 => Some((UNSIGNED_INT, 1)),
        // NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION
        83 => Some((UNSIGNED_LONG_LONG, gpu.energy_mj_at(since_boot_ns()))),
        // NVML_FI_DEV_POWER_AVERAGE, NVML_FI_DEV_POWER_INSTANT
        185 | 186 => Some((UNSIGNED_INT, gpu.power_mw)),
        _ => None,
    }
}

fn answer_field(gpu: &GpuRecord, place: Out<FieldValue>, time_us: i64) -> Answer {
    let asked = place.get()?;
    let (status, (value_type, value)) = match field(gpu, asked.field) {
        Some(found) => (Status::Success, found),
        None => (Status::NotSupported, (UNSIGNED_INT, 0)),
    };
    let status = status as u32;
    place.set(FieldValue {
        time_us,
        latency_us: 0,
        value_type,
        status,
        value,
        ..asked
    })
}

fn coder(
    device: Device,
    load: Out<u32>,
    period: Out<u32>,
    of: impl Fn(&GpuRecord) -> u64,
) -> Answer {
    period.check()?;
    device.report(load, of)?;
    period.set(SAMPLING_PERIOD_US)
}

export! {
    fn nvmlDeviceGetUtilizationRates(device: Device, place: Out<Utilization>) {
        place.check()?;
        let gpu = device.read()?;
        let memory = number(gpu.memory_utilization);
        place.set(Utilization { gpu: number(gpu.utilization), memory })
    }

    fn nvmlDeviceGetEncoderUtilization(device: Device, load: Out<u32>, period: Out<u32>) {
        coder(device, load, period, |gpu| gpu.encoder_utilization)
    }

    fn nvmlDeviceGetDecoderUtilization(device: Device, load: Out<u32>, period: Out<u32>) {
        coder(device, load, period, |gpu| gpu.decoder_utilization)
    }

    /// One sample, taken now; asked without room, the call only says how many there are.
    fn nvmlDeviceGetSamples(
        device: Device,
        kind: u32,
        after_us: u64,
        value_type: Out<u32>,
        count: Out<u32>,
        samples: Out<Sample>,
    ) {
        value_type.check()?;
        count.check()?;
        let value = sampled(&device.read()?, kind)?;
        let time_us = now_us();
        if time_us <= after_us {
            return Err(Status::NotFound);
        }
        value_type.set(UNSIGNED_INT)?;
        if samples.is_null() {
            return count.set(1);
        }
        samples.fill_counted(count, &[Sample { time_us, value }])
    }

    fn nvmlDeviceGetFieldValues(device: Device, count: i32, places: Out<FieldValue>) {
        places.check()?;
        if !(1..=MAX_FIELD_VALUES).contains(&count) {
            return Err(Status::InvalidArgument);
        }
        let gpu = device.read()?;
        let time_us = i64::try_from(now_us()).unwrap_or(i64::MAX);
        (0..count.unsigned_abs() as usize)
            .try_for_each(|index| answer_field(&gpu, places.at(index), time_us))
    }
}
