//! The values of a simulated GPU that can be changed, as `key=value` pairs.

use std::str::FromStr;

use crate::quantity::Bytes;
use crate::state::{EVENTS, GpuRecord};

/// `NVML_ERROR_GPU_IS_LOST`.
const GPU_IS_LOST: u32 = 15;
/// Xid of a GPU that has fallen off the bus.
const XID_FALLEN_OFF_BUS: u32 = 79;
/// `nvmlEventTypeXidCriticalError`.
const XID_EVENT: u64 = 8;
/// `nvmlEventTypeSingleBitEccError`.
const CORRECTED_ECC_EVENT: u64 = 1;
/// `nvmlEventTypeDoubleBitEccError`.
const UNCORRECTED_ECC_EVENT: u64 = 2;
/// Longest injected delay: beyond it a client cannot be told from one that hangs for ever.
const MAX_HANG_MS: u64 = 600_000;

/// One change of a simulated GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Share of time with a kernel running, in percent.
    Utilization(u32),
    /// Share of time with memory traffic, in percent.
    MemoryUtilization(u32),
    /// Load of the encoder, in percent.
    EncoderUtilization(u32),
    /// Load of the decoder, in percent.
    DecoderUtilization(u32),
    /// Device memory in use; what the listed processes do not hold is in use by nobody known.
    MemoryUsed(Bytes),
    /// Report the memory of each process as not available.
    ProcessMemoryHidden(bool),
    /// Power drawn, in watts.
    Power(u32),
    /// Core temperature, in degrees Celsius.
    Temperature(u32),
    /// SM clock, in MHz.
    SmClock(u32),
    /// Bits of `nvmlClocksEventReasons`.
    ClockEventReasons(u32),
    /// The GPU has fallen off the bus: every call answers `GPU_IS_LOST`, and Xid 79 is recorded.
    Lost(bool),
    /// NVML status that every call on the GPU returns; 0 for none.
    Fault(u32),
    /// Time that every call on the GPU takes, in milliseconds.
    HangMs(u64),
    /// Records an Xid event.
    Xid(u32),
    /// Corrected ECC errors in all.
    EccCorrected(u64),
    /// Uncorrected ECC errors in all.
    EccUncorrected(u64),
}

/// Why a text is not a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSettingError {
    /// There is no `=`.
    #[error("`{text}` is not a setting; write key=value, such as `utilization=80`")]
    NotAPair {
        /// The text.
        text: String,
    },
    /// The key is not known.
    #[error("`{key}` is not a setting; use one of {known}", known = KEYS.join(", "))]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// The value does not suit the key.
    #[error("`{value}` is not a value of `{key}`; use {fix}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What is allowed.
        fix: String,
    },
}

const KEYS: [&str; 16] = [
    "utilization",
    "memory-utilization",
    "encoder-utilization",
    "decoder-utilization",
    "memory-used",
    "process-memory-hidden",
    "power",
    "temperature",
    "sm-clock",
    "clock-event-reasons",
    "lost",
    "fault",
    "hang-ms",
    "xid",
    "ecc-corrected",
    "ecc-uncorrected",
];

impl FromStr for Setting {
    type Err = ParseSettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_a_pair = || ParseSettingError::NotAPair {
            text: text.to_owned(),
        };
        let (key, value) = text.split_once('=').ok_or_else(not_a_pair)?;
        let pair = Pair { key, value };
        match key {
            "utilization" => pair.percent().map(Self::Utilization),
            "memory-utilization" => pair.percent().map(Self::MemoryUtilization),
            "encoder-utilization" => pair.percent().map(Self::EncoderUtilization),
            "decoder-utilization" => pair.percent().map(Self::DecoderUtilization),
            "memory-used" => pair.bytes().map(Self::MemoryUsed),
            "process-memory-hidden" => pair.flag().map(Self::ProcessMemoryHidden),
            "power" => pair.at_most(2_000).map(Self::Power),
            "temperature" => pair.at_most(150).map(Self::Temperature),
            "sm-clock" => pair.at_most(5_000).map(Self::SmClock),
            "clock-event-reasons" => pair.at_most(u32::MAX).map(Self::ClockEventReasons),
            "lost" => pair.flag().map(Self::Lost),
            "fault" => pair.at_most(999).map(Self::Fault),
            "hang-ms" => pair.at_most(MAX_HANG_MS).map(Self::HangMs),
            "xid" => pair.at_most(1_000).map(Self::Xid),
            "ecc-corrected" => pair.at_most(u64::MAX).map(Self::EccCorrected),
            "ecc-uncorrected" => pair.at_most(u64::MAX).map(Self::EccUncorrected),
            _ => Err(ParseSettingError::UnknownKey {
                key: key.to_owned(),
            }),
        }
    }
}

struct Pair<'a> {
    key: &'a str,
    value: &'a str,
}

impl Pair<'_> {
    fn percent(&self) -> Result<u32, ParseSettingError> {
        self.at_most(100)
    }

    fn at_most<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        limit: T,
    ) -> Result<T, ParseSettingError> {
        let number = self.value.parse().ok().filter(|number| *number <= limit);
        number.ok_or_else(|| self.refuse(format!("a whole number from 0 to {limit}")))
    }

    fn bytes(&self) -> Result<Bytes, ParseSettingError> {
        self.value
            .parse()
            .map_err(|_| self.refuse("a quantity such as `20Gi`".to_owned()))
    }

    fn flag(&self) -> Result<bool, ParseSettingError> {
        self.value
            .parse()
            .map_err(|_| self.refuse("true or false".to_owned()))
    }

    fn refuse(&self, fix: String) -> ParseSettingError {
        ParseSettingError::Value {
            key: self.key.to_owned(),
            value: self.value.to_owned(),
            fix,
        }
    }
}

impl Setting {
    /// Applies the change at `now_ns` since boot.
    pub(crate) fn apply(self, gpu: &mut GpuRecord, now_ns: u64) {
        match self {
            Self::Utilization(percent) => gpu.utilization = percent.into(),
            Self::MemoryUtilization(percent) => gpu.memory_utilization = percent.into(),
            Self::EncoderUtilization(percent) => gpu.encoder_utilization = percent.into(),
            Self::DecoderUtilization(percent) => gpu.decoder_utilization = percent.into(),
            Self::MemoryUsed(bytes) => {
                gpu.memory_unlisted_bytes = bytes.0.saturating_sub(gpu.memory_listed());
            }
            Self::ProcessMemoryHidden(hidden) => gpu.process_memory_hidden = hidden.into(),
            Self::Power(watts) => gpu.set_power(u64::from(watts) * 1_000, now_ns),
            Self::Temperature(degrees) => gpu.temperature_c = degrees.into(),
            Self::SmClock(mhz) => gpu.sm_clock_mhz = mhz.into(),
            Self::ClockEventReasons(bits) => gpu.clock_event_reasons = bits.into(),
            Self::Lost(lost) => gpu.set_lost(lost),
            Self::Fault(status) => gpu.fault = status.into(),
            Self::HangMs(milliseconds) => gpu.hang_ms = milliseconds,
            Self::Xid(number) => gpu.record_event(XID_EVENT, number),
            Self::EccCorrected(count) => gpu.set_ecc_corrected(count),
            Self::EccUncorrected(count) => gpu.set_ecc_uncorrected(count),
        }
    }
}

impl GpuRecord {
    /// Energy drawn until `now_ns` since boot, in millijoules.
    #[must_use]
    pub fn energy_mj_at(&self, now_ns: u64) -> u64 {
        let elapsed_ms = now_ns.saturating_sub(self.energy_since_ns) / 1_000_000;
        // Milliwatts times milliseconds are microjoules; a century at 2 kW stays below 2^64 of them.
        self.energy_mj + self.power_mw.saturating_mul(elapsed_ms) / 1_000
    }

    fn set_power(&mut self, power_mw: u64, now_ns: u64) {
        self.energy_mj = self.energy_mj_at(now_ns);
        self.energy_since_ns = now_ns;
        self.power_mw = power_mw;
    }

    fn set_lost(&mut self, lost: bool) {
        let was_lost = self.fault == u64::from(GPU_IS_LOST);
        self.fault = if lost { GPU_IS_LOST.into() } else { 0 };
        if lost && !was_lost {
            self.record_event(XID_EVENT, XID_FALLEN_OFF_BUS);
        }
    }

    fn set_ecc_corrected(&mut self, count: u64) {
        if count > self.ecc_corrected {
            self.record_event(CORRECTED_ECC_EVENT, 0);
        }
        self.ecc_corrected = count;
    }

    fn set_ecc_uncorrected(&mut self, count: u64) {
        if count > self.ecc_uncorrected {
            self.record_event(UNCORRECTED_ECC_EVENT, 0);
        }
        self.ecc_uncorrected = count;
    }

    fn record_event(&mut self, kind: u64, data: u32) {
        let slot = usize::try_from(self.event_count % EVENTS as u64).expect("below EVENTS");
        self.events.0[slot] = kind << 32 | u64::from(data);
        self.event_count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_understood_and_named_in_the_refusal_of_an_unknown_one() {
        for key in KEYS {
            let number = format!("{key}=0").parse::<Setting>();
            let flag = format!("{key}=false").parse::<Setting>();
            assert!(number.is_ok() || flag.is_ok(), "{key}");
        }
        let refusal = "speed=3".parse::<Setting>().unwrap_err().to_string();
        assert!(KEYS.iter().all(|key| refusal.contains(key)), "{refusal}");
    }

    #[test]
    fn a_value_out_of_range_is_refused_with_the_range() {
        let refusal = "utilization=101"
            .parse::<Setting>()
            .unwrap_err()
            .to_string();
        assert_eq!(
            refusal,
            "`101` is not a value of `utilization`; use a whole number from 0 to 100"
        );
        for text in [
            "utilization",
            "lost=maybe",
            "memory-used=lots",
            "hang-ms=-1",
        ] {
            assert!(text.parse::<Setting>().is_err(), "{text}");
        }
    }

    #[test]
    fn energy_is_power_over_time_and_never_goes_back() {
        let mut gpu = GpuRecord {
            power_mw: 100_000,
            ..GpuRecord::default()
        };
        assert_eq!(gpu.energy_mj_at(2_000_000_000), 200_000);
        Setting::Power(700).apply(&mut gpu, 2_000_000_000);
        assert_eq!(gpu.energy_mj_at(3_000_000_000), 900_000);
        assert_eq!(gpu.energy_mj_at(0), 200_000);
    }

    #[test]
    fn losing_a_gpu_records_one_xid_79() {
        let mut gpu = GpuRecord::default();
        Setting::Lost(true).apply(&mut gpu, 0);
        Setting::Lost(true).apply(&mut gpu, 0);
        assert_eq!(
            (gpu.fault, gpu.event_count, gpu.events.0[0]),
            (15, 1, 8 << 32 | 79)
        );
        Setting::Lost(false).apply(&mut gpu, 0);
        assert_eq!((gpu.fault, gpu.event_count), (0, 1));
    }
}
