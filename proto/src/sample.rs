//! Samples as columns of small differences, so that a report of eight GPUs stays under 350 bytes.
//!
//! A difference is always to the last absolute sample, so a report that is lost on the way costs
//! nothing but itself.

use crate::v1;
use dovetail_model::{
    node::{GpuSample, Sample},
    units::{Bytes, CpuMilli},
};
use std::ops::RangeInclusive;
use thiserror::Error;

/// Every so many samples one is absolute, so that a scheduler that missed one waits a minute at
/// most, even if its question is lost.
const ABSOLUTE_EVERY: u64 = 60;
/// Most GPUs in a sample: the bits of a mask.
const GPUS_MAX: usize = 64;
/// An absent pressure.
const UNKNOWN: i64 = -1;

const MIB: RangeInclusive<i64> = 0..=(1 << 44);
/// What the columns of a node may hold: milli, MiB, three pressures, hundredths.
const NODE: [RangeInclusive<i64>; 6] = [
    0..=(1 << 40),
    MIB,
    UNKNOWN..=100_000,
    UNKNOWN..=100_000,
    UNKNOWN..=100_000,
    0..=(u32::MAX as i64),
];
/// What the columns of GPUs may hold: percent, MiB in use, watts, MiB of others.
const GPU: [RangeInclusive<i64>; 4] = [0..=100, MIB, 0..=(u32::MAX as i64 / 1000), MIB];
/// Columns that have a mask of unknown values: percent, MiB in use, watts.
const MASKS: usize = 3;

/// Values in the units of the wire, before differences are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Columns {
    node: Vec<i64>,
    gpus: [Vec<i64>; 4],
}

#[derive(Debug, Clone)]
struct Base {
    sequence: u64,
    columns: Columns,
}

/// The agent's side: one per session.
#[derive(Debug, Default)]
pub struct SampleEncoder {
    sequence: u64,
    base: Option<Base>,
}

impl SampleEncoder {
    /// The next sample on the wire. GPUs beyond the 64th are left out.
    pub fn encode(&mut self, sample: &Sample) -> v1::Sample {
        self.sequence += 1;
        let sequence = self.sequence;
        let gpus = &sample.gpus[..sample.gpus.len().min(GPUS_MAX)];
        let columns = columns(sample, gpus);
        let usable = self.base.as_ref().filter(|base| {
            sequence - base.sequence < ABSOLUTE_EVERY && same_shape(&base.columns, &columns)
        });
        if let Some(base) = usable {
            return wire(sequence, base.sequence, minus(columns, &base.columns), gpus);
        }
        self.base = Some(Base {
            sequence,
            columns: columns.clone(),
        });
        wire(sequence, 0, columns, gpus)
    }

    /// Makes the next sample absolute: the scheduler asked for it.
    pub fn reset(&mut self) {
        self.base = None;
    }
}

/// Why a sample cannot be read; an absolute one must be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SampleGap {
    /// The absolute sample it refers to is not the newest one that came.
    #[error("sample {sequence} is a difference to sample {base}, which has not come")]
    UnknownBase {
        /// The sample.
        sequence: u64,
        /// What it refers to.
        base: u64,
    },
    /// A later one has already come.
    #[error("sample {sequence} came after sample {last}")]
    OutOfOrder {
        /// The sample.
        sequence: u64,
        /// The newest that came.
        last: u64,
    },
    /// It contradicts itself or its base.
    #[error("sample {sequence} is malformed: {problem}")]
    Malformed {
        /// The sample.
        sequence: u64,
        /// What is wrong.
        problem: &'static str,
    },
}

/// The scheduler's side: one per session.
#[derive(Debug, Default)]
pub struct SampleDecoder {
    last: u64,
    base: Option<Base>,
}

impl SampleDecoder {
    /// Reads a sample. After an error nothing has changed.
    pub fn decode(&mut self, wire: &v1::Sample) -> Result<Sample, SampleGap> {
        let (sequence, last) = (wire.sequence, self.last);
        if sequence <= last {
            return Err(SampleGap::OutOfOrder { sequence, last });
        }
        let malformed = |problem| SampleGap::Malformed { sequence, problem };
        let received = received(wire).map_err(malformed)?;
        let columns = match wire.base_sequence {
            0 => received,
            base => {
                let known = self.base.as_ref().filter(|known| known.sequence == base);
                let known = known.ok_or(SampleGap::UnknownBase { sequence, base })?;
                plus(received, &known.columns).map_err(malformed)?
            }
        };
        check_ranges(&columns).map_err(malformed)?;
        let sample = sample(&columns, &wire.gpu_unknown).ok_or_else(|| malformed("a value"))?;
        self.last = sequence;
        if wire.base_sequence == 0 {
            self.base = Some(Base { sequence, columns });
        }
        Ok(sample)
    }
}

fn columns(sample: &Sample, gpus: &[GpuSample]) -> Columns {
    let pressure = |value: Option<u32>| value.map_or(UNKNOWN, i64::from);
    let node = [
        signed(sample.cpu.0),
        mib(sample.memory),
        pressure(sample.cpu_pressure),
        pressure(sample.memory_pressure),
        pressure(sample.io_pressure),
        i64::from(sample.load_hundredths),
    ];
    let column = |range: &RangeInclusive<i64>, value: fn(&GpuSample) -> i64| {
        gpus.iter().map(|gpu| clamped(value(gpu), range)).collect()
    };
    Columns {
        node: node
            .iter()
            .zip(&NODE)
            .map(|(v, range)| clamped(*v, range))
            .collect(),
        gpus: [
            column(&GPU[0], |gpu| gpu.utilization_percent.map_or(0, i64::from)),
            column(&GPU[1], |gpu| gpu.memory.map_or(0, mib)),
            column(&GPU[2], |gpu| gpu.power_milliwatts.map_or(0, watts)),
            column(&GPU[3], |gpu| mib(gpu.external)),
        ],
    }
}

/// What a driver says beyond all sense must not make every report unreadable.
fn clamped(value: i64, range: &RangeInclusive<i64>) -> i64 {
    value.clamp(*range.start(), *range.end())
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The nearest MiB.
fn mib(size: Bytes) -> i64 {
    signed((size.0 >> 20) + ((size.0 >> 19) & 1))
}

/// The nearest watt.
fn watts(milliwatts: u32) -> i64 {
    (i64::from(milliwatts) + 500) / 1000
}

fn same_shape(a: &Columns, b: &Columns) -> bool {
    a.node.len() == b.node.len() && a.gpus[0].len() == b.gpus[0].len()
}

/// Differences of values that are in range, so nothing can overflow.
fn minus(mut columns: Columns, base: &Columns) -> Columns {
    let pairs = columns.gpus.iter_mut().zip(&base.gpus);
    for (column, base) in pairs.chain([(&mut columns.node, &base.node)]) {
        for (value, base) in column.iter_mut().zip(base) {
            *value -= base;
        }
    }
    columns
}

fn plus(mut columns: Columns, base: &Columns) -> Result<Columns, &'static str> {
    if !same_shape(&columns, base) {
        return Err("it has another number of GPUs than its base");
    }
    let pairs = columns.gpus.iter_mut().zip(&base.gpus);
    for (column, base) in pairs.chain([(&mut columns.node, &base.node)]) {
        for (value, base) in column.iter_mut().zip(base) {
            *value = value
                .checked_add(*base)
                .ok_or("a difference is out of range")?;
        }
    }
    Ok(columns)
}

fn wire(sequence: u64, base_sequence: u64, columns: Columns, gpus: &[GpuSample]) -> v1::Sample {
    let [utilization, memory, power, external] = columns.gpus;
    v1::Sample {
        sequence,
        base_sequence,
        node: columns.node,
        gpu_utilization: utilization,
        gpu_memory_mib: memory,
        gpu_power_watts: power,
        gpu_external_mib: external,
        gpu_unknown: masks(gpus),
    }
}

/// Nothing at all if every value is known.
fn masks(gpus: &[GpuSample]) -> Vec<u64> {
    let mask = |unknown: fn(&GpuSample) -> bool| {
        gpus.iter()
            .enumerate()
            .filter(|(_, gpu)| unknown(gpu))
            .fold(0, |mask, (index, _)| mask | (1 << index))
    };
    let masks = [
        mask(|gpu| gpu.utilization_percent.is_none()),
        mask(|gpu| gpu.memory.is_none()),
        mask(|gpu| gpu.power_milliwatts.is_none()),
    ];
    if masks == [0; MASKS] {
        Vec::new()
    } else {
        masks.to_vec()
    }
}

/// The columns as they came, once their lengths agree.
fn received(wire: &v1::Sample) -> Result<Columns, &'static str> {
    let gpus = [
        &wire.gpu_utilization,
        &wire.gpu_memory_mib,
        &wire.gpu_power_watts,
        &wire.gpu_external_mib,
    ];
    if wire.node.len() != NODE.len() {
        return Err("it does not have the six values of a node");
    }
    if gpus[0].len() > GPUS_MAX {
        return Err("it has more than 64 GPUs");
    }
    if gpus.iter().any(|column| column.len() != gpus[0].len()) {
        return Err("its columns have different lengths");
    }
    if !wire.gpu_unknown.is_empty() && wire.gpu_unknown.len() != MASKS {
        return Err("it does not have three masks of unknown values");
    }
    Ok(Columns {
        node: wire.node.clone(),
        gpus: gpus.map(Clone::clone),
    })
}

fn check_ranges(columns: &Columns) -> Result<(), &'static str> {
    let node = columns
        .node
        .iter()
        .zip(&NODE)
        .all(|(value, range)| range.contains(value));
    let gpus = columns
        .gpus
        .iter()
        .zip(&GPU)
        .all(|(column, range)| column.iter().all(|value| range.contains(value)));
    if node && gpus {
        Ok(())
    } else {
        Err("a value is out of range")
    }
}

/// Plain values of columns that are in range; none if they are not.
fn sample(columns: &Columns, unknown: &[u64]) -> Option<Sample> {
    let [
        cpu,
        memory,
        cpu_pressure,
        memory_pressure,
        io_pressure,
        load,
    ] = columns.node.first_chunk::<6>()?;
    let pressure = |value: &i64| u32::try_from(*value).ok();
    let gpus = (0..columns.gpus[0].len()).map(|index| gpu_sample(columns, unknown, index));
    Some(Sample {
        cpu: CpuMilli(u64::try_from(*cpu).ok()?),
        memory: from_mib(*memory)?,
        cpu_pressure: pressure(cpu_pressure),
        memory_pressure: pressure(memory_pressure),
        io_pressure: pressure(io_pressure),
        load_hundredths: u32::try_from(*load).ok()?,
        gpus: gpus.collect::<Option<_>>()?,
    })
}

fn gpu_sample(columns: &Columns, unknown: &[u64], index: usize) -> Option<GpuSample> {
    let [utilization, memory, power, external] =
        [0, 1, 2, 3].map(|column: usize| columns.gpus[column].get(index).copied());
    let known = |mask: usize| {
        unknown
            .get(mask)
            .is_none_or(|mask| mask & (1 << index) == 0)
    };
    let watts = u32::try_from(power?).ok()?;
    Some(GpuSample {
        utilization_percent: known(0).then_some(u32::try_from(utilization?).ok()?),
        memory: known(1).then_some(from_mib(memory?)?),
        power_milliwatts: known(2).then_some(watts.saturating_mul(1000)),
        external: from_mib(external?)?,
    })
}

fn from_mib(mib: i64) -> Option<Bytes> {
    // The largest was rounded up to 2^64.
    let mib = u64::try_from(mib).ok()?;
    Some(Bytes(mib.saturating_mul(1 << 20)))
}

#[cfg(test)]
mod tests;
