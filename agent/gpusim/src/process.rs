//! The process table of a simulated GPU: real processes, listed for as long as they live.

use crate::quantity::Bytes;
use crate::state::{GpuRecord, ProcessRecord, ProcessTable};

/// Which of NVML's three process lists a process appears in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessKind {
    /// `nvmlDeviceGetComputeRunningProcesses`.
    #[default]
    Compute,
    /// `nvmlDeviceGetGraphicsRunningProcesses`.
    Graphics,
    /// `nvmlDeviceGetMPSComputeRunningProcesses`.
    Mps,
}

impl ProcessKind {
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Compute => 0,
            Self::Graphics => 1,
            Self::Mps => 2,
        }
    }
}

/// A process that holds device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Process id on the real host.
    pub pid: u32,
    /// Device memory it holds.
    pub memory: Bytes,
    /// Its share of the multiprocessors, in percent.
    pub utilization: u32,
    /// Which list it appears in.
    pub kind: ProcessKind,
    /// Keep the entry even if no such process lives, as a driver does for another pid namespace.
    pub ghost: bool,
}

impl Process {
    /// A compute process that leaves the list when it ends.
    #[must_use]
    pub fn compute(pid: u32, memory: Bytes) -> Self {
        Self {
            pid,
            memory,
            utilization: 0,
            kind: ProcessKind::Compute,
            ghost: false,
        }
    }
}

/// Why a process was not added to a GPU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddProcessError {
    /// There is no process of this id, and the entry was not to be kept regardless.
    #[error("process {pid} does not exist; name a live process, or add it as a ghost")]
    NoSuchProcess {
        /// The process id.
        pid: u32,
    },
    /// The device has less memory left.
    #[error("process {pid} asks for {asked} but the GPU has {free} free")]
    OutOfMemory {
        /// The process id.
        pid: u32,
        /// What it asked for.
        asked: Bytes,
        /// What is left.
        free: Bytes,
    },
    /// Every entry of the table is taken by a live process.
    #[error("process {pid} does not fit: the GPU lists {limit} processes at most")]
    TableFull {
        /// The process id.
        pid: u32,
        /// Entries of the table.
        limit: usize,
    },
}

impl ProcessTable {
    /// Entries of processes that live, and of ghosts.
    pub fn live(&self) -> impl Iterator<Item = &ProcessRecord> {
        self.0.iter().filter(|entry| is_live(entry))
    }

    /// Adds or replaces the entry of a process.
    pub(crate) fn put(&mut self, process: &Process) -> Result<(), AddProcessError> {
        let pid = process.pid;
        let start_ticks = match start_ticks(u64::from(pid)) {
            _ if process.ghost => 0,
            Some(ticks) => ticks,
            None => return Err(AddProcessError::NoSuchProcess { pid }),
        };
        let limit = self.0.len();
        let same = self.0.iter().position(|entry| entry.pid == u64::from(pid));
        let free = same.or_else(|| self.0.iter().position(|entry| !is_live(entry)));
        let slot = free.ok_or(AddProcessError::TableFull { pid, limit })?;
        self.0[slot] = ProcessRecord {
            pid: u64::from(pid),
            start_ticks,
            kind: process.kind.number(),
            memory_bytes: process.memory.0,
            utilization: u64::from(process.utilization),
        };
        Ok(())
    }

    /// Removes the entry of a process; false if there was none.
    pub(crate) fn remove(&mut self, pid: u32) -> bool {
        let entry = self.0.iter_mut().find(|entry| entry.pid == u64::from(pid));
        entry
            .map(|entry| *entry = ProcessRecord::default())
            .is_some()
    }
}

impl GpuRecord {
    /// Device memory in use, without what the driver keeps.
    #[must_use]
    pub fn memory_used(&self) -> Bytes {
        let listed = self.memory_listed();
        Bytes(
            listed
                .saturating_add(self.memory_unlisted_bytes)
                .min(self.memory_usable()),
        )
    }

    /// Device memory that nobody holds.
    #[must_use]
    pub fn memory_free(&self) -> Bytes {
        Bytes(self.memory_usable() - self.memory_used().0)
    }

    /// Device memory held by listed processes, in bytes.
    pub(crate) fn memory_listed(&self) -> u64 {
        self.processes
            .live()
            .fold(0, |sum, entry| sum.saturating_add(entry.memory_bytes))
    }

    /// Adds or replaces a process, within the device's memory.
    pub(crate) fn add_process(&mut self, process: &Process) -> Result<(), AddProcessError> {
        let before = *self;
        self.processes.remove(process.pid);
        let (asked, free) = (process.memory, self.memory_free());
        let outcome = if asked > free {
            Err(AddProcessError::OutOfMemory {
                pid: process.pid,
                asked,
                free,
            })
        } else {
            self.processes.put(process)
        };
        if outcome.is_err() {
            *self = before;
        }
        outcome
    }

    /// Device memory that processes can hold, in bytes.
    fn memory_usable(&self) -> u64 {
        self.memory_total_bytes
            .saturating_sub(self.memory_reserved_bytes)
    }
}

fn is_live(entry: &ProcessRecord) -> bool {
    entry.pid != 0 && (entry.start_ticks == 0 || start_ticks(entry.pid) == Some(entry.start_ticks))
}

/// Start time of a live process, in clock ticks since boot: with the pid, its identity. A zombie
/// has closed its device files, so the driver no longer lists it.
fn start_ticks(pid: u64) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ');
    let state = fields.next()?;
    let ticks = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu() -> GpuRecord {
        GpuRecord {
            memory_total_bytes: 1000,
            memory_reserved_bytes: 100,
            ..GpuRecord::default()
        }
    }

    #[test]
    fn a_process_holds_memory_until_it_ends() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let mut gpu = gpu();
        gpu.add_process(&Process::compute(child.id(), Bytes(300)))
            .unwrap();
        assert_eq!(
            (gpu.memory_used(), gpu.memory_free()),
            (Bytes(300), Bytes(600))
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(gpu.memory_used(), Bytes(0));
        assert_eq!(gpu.processes.live().count(), 0);
    }

    #[test]
    fn a_process_may_not_hold_more_than_is_free_and_a_refusal_changes_nothing() {
        let mut gpu = gpu();
        gpu.add_process(&Process::compute(std::process::id(), Bytes(900)))
            .unwrap();
        let refused = gpu.add_process(&Process::compute(std::process::id(), Bytes(901)));
        let (pid, asked, free) = (std::process::id(), Bytes(901), Bytes(900));
        assert_eq!(
            refused,
            Err(AddProcessError::OutOfMemory { pid, asked, free })
        );
        assert_eq!(gpu.memory_used(), Bytes(900));
    }

    #[test]
    fn a_pid_that_does_not_live_is_listed_only_as_a_ghost() {
        let pid = u32::MAX - 1;
        let mut gpu = gpu();
        let dead = Process::compute(pid, Bytes(1));
        assert_eq!(
            gpu.add_process(&dead),
            Err(AddProcessError::NoSuchProcess { pid })
        );
        gpu.add_process(&Process {
            ghost: true,
            ..dead
        })
        .unwrap();
        assert_eq!(gpu.processes.live().count(), 1);
        assert!(gpu.processes.remove(pid) && !gpu.processes.remove(pid));
    }

    #[test]
    fn the_table_refuses_a_process_more_than_it_holds() {
        let mut gpu = gpu();
        let ghost = |pid| Process {
            ghost: true,
            ..Process::compute(pid, Bytes(1))
        };
        for pid in 1..=64 {
            gpu.add_process(&ghost(pid)).unwrap();
        }
        let full = AddProcessError::TableFull { pid: 65, limit: 64 };
        assert_eq!(gpu.add_process(&ghost(65)), Err(full));
    }
}
