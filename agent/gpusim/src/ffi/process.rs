//! The processes on a GPU, in the three generations of NVML's lists.

use std::time::{SystemTime, UNIX_EPOCH};

use super::abi::{
    NO_INSTANCE, NOT_AVAILABLE, ProcessDetail, ProcessDetailList, ProcessInfoV1, ProcessInfoV2,
    ProcessUtilization, get_versioned,
};
use super::device::{Device, number};
use super::export;
use super::pointer::Out;
use super::status::{Answer, Status};
use crate::process::ProcessKind;
use crate::state::{GpuRecord, ProcessRecord};

/// Where a list goes: the caller's count and array.
struct List<T> {
    count: Out<u32>,
    entries: Out<T>,
}

impl<T: Copy> List<T> {
    fn fill(
        &self,
        device: Device,
        kind: ProcessKind,
        entry: impl Fn(ProcessInfoV2) -> T,
    ) -> Answer {
        self.count.check()?;
        let gpu = device.read()?;
        let entries: Vec<T> = processes(&gpu, kind.number()).map(entry).collect();
        self.entries.fill_counted(self.count, &entries)
    }
}

fn processes(gpu: &GpuRecord, kind: u64) -> impl Iterator<Item = ProcessInfoV2> {
    let hidden = gpu.process_memory_hidden != 0;
    let listed = gpu
        .processes
        .live()
        .filter(move |process| process.kind == kind);
    listed.map(move |process| ProcessInfoV2 {
        pid: number(process.pid),
        used_memory: if hidden {
            NOT_AVAILABLE
        } else {
            process.memory_bytes
        },
        gpu_instance: NO_INSTANCE,
        compute_instance: NO_INSTANCE,
    })
}

fn oldest(info: ProcessInfoV2) -> ProcessInfoV1 {
    ProcessInfoV1 {
        pid: info.pid,
        used_memory: info.used_memory,
    }
}

fn detail(info: ProcessInfoV2) -> ProcessDetail {
    ProcessDetail {
        pid: info.pid,
        used_memory: info.used_memory,
        gpu_instance: info.gpu_instance,
        compute_instance: info.compute_instance,
        used_protected_memory: 0,
    }
}

/// Declares the three versions of one list: 16 bytes an entry at first, 24 since.
macro_rules! export_lists {
    ($($kind:ident: $v1:ident, $v2:ident, $v3:ident;)*) => {
        export! {$(
            fn $v1(device: Device, count: Out<u32>, entries: Out<ProcessInfoV1>) {
                List { count, entries }.fill(device, ProcessKind::$kind, oldest)
            }
            fn $v2(device: Device, count: Out<u32>, entries: Out<ProcessInfoV2>) {
                List { count, entries }.fill(device, ProcessKind::$kind, |info| info)
            }
            fn $v3(device: Device, count: Out<u32>, entries: Out<ProcessInfoV2>) {
                List { count, entries }.fill(device, ProcessKind::$kind, |info| info)
            }
        )*}
    };
}

export_lists! {
    Compute: nvmlDeviceGetComputeRunningProcesses, nvmlDeviceGetComputeRunningProcesses_v2,
        nvmlDeviceGetComputeRunningProcesses_v3;
    Graphics: nvmlDeviceGetGraphicsRunningProcesses, nvmlDeviceGetGraphicsRunningProcesses_v2,
        nvmlDeviceGetGraphicsRunningProcesses_v3;
    Mps: nvmlDeviceGetMPSComputeRunningProcesses, nvmlDeviceGetMPSComputeRunningProcesses_v2,
        nvmlDeviceGetMPSComputeRunningProcesses_v3;
}

/// Utilisation is sampled when it is asked for, so every sample is newer than the caller's last.
fn utilization_samples(gpu: &GpuRecord, after_us: u64) -> Vec<ProcessUtilization> {
    let time_us = now_us();
    let sample = |process: &ProcessRecord| ProcessUtilization {
        pid: number(process.pid),
        time_us,
        sm: number(process.utilization),
        memory: 0,
        encoder: 0,
        decoder: 0,
    };
    gpu.processes
        .live()
        .filter(|_| time_us > after_us)
        .map(sample)
        .collect()
}

/// Microseconds since 1970, NVML's time of samples.
pub(super) fn now_us() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_micros());
    u64::try_from(now).unwrap_or(u64::MAX)
}

export! {
    /// `mode` is 0 for compute, 1 for graphics, 2 for MPS: the numbers of `ProcessKind`.
    fn nvmlDeviceGetRunningProcessDetailList(device: Device, place: Out<ProcessDetailList>) {
        let mut list = get_versioned(place)?;
        if list.mode > 2 {
            return Err(Status::InvalidArgument);
        }
        let gpu = device.read()?;
        let entries: Vec<_> = processes(&gpu, list.mode.into()).map(detail).collect();
        let room = list.count as usize;
        list.count = number(entries.len() as u64);
        place.set(list)?;
        if entries.len() > room {
            return Err(Status::InsufficientSize);
        }
        Out::from_field(list.entries).fill(&entries)
    }

    fn nvmlDeviceGetProcessUtilization(
        device: Device,
        entries: Out<ProcessUtilization>,
        count: Out<u32>,
        after_us: u64,
    ) {
        count.check()?;
        let samples = utilization_samples(&device.read()?, after_us);
        if samples.is_empty() {
            count.set(0)?;
            return Err(Status::NotFound);
        }
        if entries.is_null() {
            count.set(number(samples.len() as u64))?;
            return Err(Status::InsufficientSize);
        }
        entries.fill_counted(count, &samples)
    }
}
