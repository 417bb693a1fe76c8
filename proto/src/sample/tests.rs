//! Samples come back within a unit, stay small, and hostile ones are refused.

use super::*;
use proptest::{collection, option, prelude::*};
use prost::Message as _;

fn gpu(utilization: u32, memory_mib: u64, watts: u32) -> GpuSample {
    GpuSample {
        utilization_percent: Some(utilization),
        memory: Some(Bytes(memory_mib << 20)),
        power_milliwatts: Some(watts * 1000),
        external: Bytes(0),
    }
}

fn two_gpus() -> Sample {
    Sample {
        cpu: CpuMilli(1500),
        memory: Bytes(4 << 30),
        cpu_pressure: Some(12),
        memory_pressure: None,
        io_pressure: Some(0),
        load_hundredths: 150,
        gpus: vec![gpu(50, 1000, 300), gpu(0, 0, 60)],
    }
}

fn any_gpu() -> impl Strategy<Value = GpuSample> {
    let memory = || (0_u64..=1 << 50).prop_map(Bytes);
    (
        option::of(0_u32..=100),
        option::of(memory()),
        option::of(0_u32..2_000_000),
        memory(),
    )
        .prop_map(
            |(utilization_percent, memory, power_milliwatts, external)| GpuSample {
                utilization_percent,
                memory,
                power_milliwatts,
                external,
            },
        )
}

prop_compose! {
    fn any_sample(gpus: usize)(
        cpu in 0_u64..=4_096_000,
        memory in 0_u64..=64 << 40,
        pressures in [option::of(0_u32..=100_000), option::of(0_u32..=100_000), option::of(0_u32..=100_000)],
        load_hundredths in any::<u32>(),
        gpus in collection::vec(any_gpu(), gpus),
    ) -> Sample {
        let [cpu_pressure, memory_pressure, io_pressure] = pressures;
        Sample {
            cpu: CpuMilli(cpu),
            memory: Bytes(memory),
            cpu_pressure,
            memory_pressure,
            io_pressure,
            load_hundredths,
            gpus,
        }
    }
}

/// The sample in the units of the wire.
fn rounded(sample: &Sample) -> Sample {
    let mib_of = |size: Bytes| Bytes(size.0.saturating_add(1 << 19) >> 20 << 20);
    Sample {
        memory: mib_of(sample.memory),
        gpus: sample
            .gpus
            .iter()
            .map(|gpu| GpuSample {
                memory: gpu.memory.map(mib_of),
                power_milliwatts: gpu.power_milliwatts.map(|mw| (mw + 500) / 1000 * 1000),
                external: mib_of(gpu.external),
                ..gpu.clone()
            })
            .collect(),
        ..sample.clone()
    }
}

proptest! {
    #[test]
    fn samples_come_back_within_a_unit(
        samples in (0_usize..=64).prop_flat_map(|gpus| collection::vec(any_sample(gpus), 1..6)),
    ) {
        let (mut encoder, mut decoder) = (SampleEncoder::default(), SampleDecoder::default());
        for sample in &samples {
            let wire = v1::Sample::decode(&*encoder.encode(sample).encode_to_vec()).unwrap();
            prop_assert_eq!(decoder.decode(&wire), Ok(rounded(sample)));
        }
    }

    #[test]
    fn what_makes_no_sense_never_panics_and_changes_nothing(
        sequence in any::<u64>(),
        base_sequence in prop_oneof![Just(0), Just(1), any::<u64>()],
        node in collection::vec(any::<i64>(), 5..8),
        column in collection::vec(any::<i64>(), 0..4),
        gpu_unknown in collection::vec(any::<u64>(), 0..5),
    ) {
        let mut decoder = SampleDecoder::default();
        let first = SampleEncoder::default().encode(&two_gpus());
        decoder.decode(&first).unwrap();
        let wire = v1::Sample {
            sequence,
            base_sequence,
            node,
            gpu_utilization: column.clone(),
            gpu_memory_mib: column.clone(),
            gpu_power_watts: column.clone(),
            gpu_external_mib: column,
            gpu_unknown,
        };
        if decoder.decode(&wire).is_err() {
            let mut encoder = SampleEncoder::default();
            encoder.encode(&two_gpus());
            prop_assert!(decoder.decode(&encoder.encode(&two_gpus())).is_ok());
        }
    }
}

#[test]
fn every_sixtieth_sample_is_absolute_and_so_is_one_after_a_reset() {
    let mut encoder = SampleEncoder::default();
    let absolute: Vec<u64> = (1..=181)
        .map(|_| encoder.encode(&two_gpus()))
        .filter(|wire| wire.base_sequence == 0)
        .map(|wire| wire.sequence)
        .collect();
    assert_eq!(absolute, [1, 61, 121, 181]);
    assert_eq!(encoder.encode(&two_gpus()).base_sequence, 181);
    encoder.reset();
    assert_eq!(encoder.encode(&two_gpus()).base_sequence, 0);
}

#[test]
fn a_gpu_more_or_less_makes_the_sample_absolute() {
    let mut encoder = SampleEncoder::default();
    encoder.encode(&two_gpus());
    let mut one = two_gpus();
    one.gpus.pop();
    assert_eq!(encoder.encode(&one).base_sequence, 0);
}

#[test]
fn a_lost_difference_costs_nothing_but_itself() {
    let (mut encoder, mut decoder) = (SampleEncoder::default(), SampleDecoder::default());
    decoder.decode(&encoder.encode(&two_gpus())).unwrap();
    encoder.encode(&two_gpus());
    assert_eq!(decoder.decode(&encoder.encode(&two_gpus())), Ok(two_gpus()));
}

#[test]
fn a_lost_absolute_sample_is_asked_for_again() {
    let (mut encoder, mut decoder) = (SampleEncoder::default(), SampleDecoder::default());
    encoder.encode(&two_gpus());
    let delta = encoder.encode(&two_gpus());
    let gap = SampleGap::UnknownBase {
        sequence: 2,
        base: 1,
    };
    assert_eq!(decoder.decode(&delta), Err(gap));
    encoder.reset();
    assert_eq!(decoder.decode(&encoder.encode(&two_gpus())), Ok(two_gpus()));
}

#[test]
fn a_repeated_sample_is_refused() {
    let mut decoder = SampleDecoder::default();
    let wire = SampleEncoder::default().encode(&two_gpus());
    decoder.decode(&wire).unwrap();
    let again = SampleGap::OutOfOrder {
        sequence: 1,
        last: 1,
    };
    assert_eq!(decoder.decode(&wire), Err(again));
}

/// A way to spoil a sample, and a part of what must be said.
type Row = (fn(&mut v1::Sample), &'static str);

#[test]
fn contradictions_are_named() {
    let good = SampleEncoder::default().encode(&two_gpus());
    let spoils: [Row; 6] = [
        (|w| w.node.truncate(5), "six values"),
        (|w| w.gpu_power_watts.truncate(1), "different lengths"),
        (|w| w.gpu_unknown = vec![1, 2], "three masks"),
        (|w| w.gpu_utilization[0] = 101, "out of range"),
        (|w| w.node[1] = -1, "out of range"),
        (
            |w| {
                for column in [
                    &mut w.gpu_utilization,
                    &mut w.gpu_memory_mib,
                    &mut w.gpu_power_watts,
                    &mut w.gpu_external_mib,
                ] {
                    column.resize(65, 0);
                }
            },
            "more than 64",
        ),
    ];
    for (spoil, words) in spoils {
        let mut wire = good.clone();
        spoil(&mut wire);
        let error = SampleDecoder::default().decode(&wire).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn absurd_measurements_are_cut_to_what_can_be_read() {
    let sample = Sample {
        cpu: CpuMilli(u64::MAX),
        memory: Bytes(u64::MAX),
        cpu_pressure: Some(u32::MAX),
        load_hundredths: u32::MAX,
        gpus: vec![
            GpuSample {
                utilization_percent: Some(u32::MAX),
                memory: Some(Bytes(u64::MAX)),
                power_milliwatts: Some(u32::MAX),
                external: Bytes(u64::MAX),
            };
            70
        ],
        ..Sample::default()
    };
    let wire = SampleEncoder::default().encode(&sample);
    let read = SampleDecoder::default().decode(&wire).unwrap();
    assert_eq!(read.gpus.len(), 64);
    assert_eq!(read.gpus[0].utilization_percent, Some(100));
    assert_eq!(
        (read.memory, read.cpu_pressure),
        (Bytes(u64::MAX), Some(100_000))
    );
}

/// A small generator, so that the size is the same on every run.
struct Walk(u64);

impl Walk {
    fn step(&mut self, value: u64, most: u64, max: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let change = (self.0 >> 33) % (2 * most + 1);
        (value + change).saturating_sub(most).min(max)
    }

    fn next(&mut self, sample: &mut Sample) {
        let small = |value: u64| u32::try_from(value).unwrap();
        sample.cpu.0 = self.step(sample.cpu.0, 4000, 128_000);
        sample.memory.0 = self.step(sample.memory.0, 1 << 30, 2 << 40);
        sample.cpu_pressure = Some(small(self.step(5000, 5000, 100_000)));
        sample.load_hundredths = small(self.step(sample.load_hundredths.into(), 100, 12_800));
        for gpu in &mut sample.gpus {
            let of = |value: Option<u32>| u64::from(value.unwrap());
            gpu.utilization_percent = Some(small(self.step(of(gpu.utilization_percent), 20, 100)));
            gpu.memory = gpu.memory.map(|m| Bytes(self.step(m.0, 4 << 30, 80 << 30)));
            gpu.power_milliwatts =
                Some(small(self.step(of(gpu.power_milliwatts), 80_000, 700_000)));
            gpu.external.0 = self.step(gpu.external.0, 1 << 30, 8 << 30);
        }
    }
}

#[test]
fn a_report_of_eight_gpus_takes_at_most_350_bytes() {
    let mut sample = two_gpus();
    sample.gpus = vec![gpu(70, 40_000, 400); 8];
    let (mut walk, mut encoder) = (Walk(1), SampleEncoder::default());
    let sizes: Vec<usize> = (0..600)
        .map(|_| {
            walk.next(&mut sample);
            let message = v1::session_request::Message::Sample(encoder.encode(&sample));
            v1::SessionRequest {
                message: Some(message),
            }
            .encoded_len()
        })
        .collect();
    let (sum, max) = (sizes.iter().sum::<usize>(), sizes.iter().max().unwrap());
    println!(
        "8 GPUs: {} bytes a report on average, {max} at most",
        sum / sizes.len()
    );
    assert!(sum / sizes.len() <= 350 && *max <= 350);
}
