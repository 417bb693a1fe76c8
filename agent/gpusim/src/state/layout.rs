//! The records of the state file: one for the host, one for each GPU.

use super::record::{Record, Text, record};

/// Processes that one GPU can list; the driver's own limit for MPS clients is 60.
pub(crate) const PROCESSES: usize = 64;
/// Events kept for each GPU; an event set that falls further behind loses the oldest.
pub(crate) const EVENTS: usize = 16;

record! {
    /// What never changes about a host.
    pub(crate) struct HostRecord {
        gpu_count: u64,
        cpus: u64,
        cuda_version: u64,
        name: Text<8>,
        driver_version: Text<8>,
    }
}

record! {
    /// One entry of a GPU's process table; free when `pid` is 0.
    pub struct ProcessRecord {
        /// Process id, 0 for a free entry.
        pid: u64,
        /// Start time in clock ticks since boot; 0 keeps the entry whether the process lives or not.
        start_ticks: u64,
        /// Which list it appears in: 0 compute, 1 graphics, 2 MPS client.
        kind: u64,
        /// Device memory, in bytes.
        memory_bytes: u64,
        /// Share of the multiprocessors, in percent.
        utilization: u64,
    }
}

record! {
    /// Everything a simulated GPU reports.
    pub struct GpuRecord {
        /// Name that NVML reports.
        name: Text<12>,
        /// Key of the model in host files.
        model: Text<2>,
        /// `GPU-` and a UUID derived from the host's name and the GPU's index.
        uuid: Text<6>,
        /// Serial number of the board.
        serial: Text<3>,
        /// Minor of the device node.
        minor: u64,
        /// PCI bus; domain, device and function are 0.
        pci_bus: u64,
        /// PCI device and vendor id.
        pci_device_id: u64,
        /// NUMA node the GPU is attached to.
        numa_node: u64,
        /// Device memory in all, in bytes.
        memory_total_bytes: u64,
        /// Device memory that the driver keeps, in bytes.
        memory_reserved_bytes: u64,
        /// Device memory in use by no listed process, in bytes.
        memory_unlisted_bytes: u64,
        /// Not 0: the memory of each process is reported as not available.
        process_memory_hidden: u64,
        /// Major of the compute capability.
        compute_capability_major: u64,
        /// Minor of the compute capability.
        compute_capability_minor: u64,
        /// `nvmlDeviceArchitecture_t`.
        architecture: u64,
        /// Streaming multiprocessors.
        multiprocessors: u64,
        /// CUDA cores.
        cores: u64,
        /// Width of the memory bus, in bits.
        memory_bus_bits: u64,
        /// Power drawn now, in milliwatts.
        power_mw: u64,
        /// Power limit in force, in milliwatts.
        power_limit_mw: u64,
        /// Lowest power limit, in milliwatts.
        power_floor_mw: u64,
        /// Default and highest power limit, in milliwatts.
        power_default_mw: u64,
        /// Energy drawn until `energy_since_ns`, in millijoules.
        energy_mj: u64,
        /// Time since boot from which `power_mw` counts, in nanoseconds.
        energy_since_ns: u64,
        /// Core temperature, in degrees Celsius.
        temperature_c: u64,
        /// SM and graphics clock now, in MHz.
        sm_clock_mhz: u64,
        /// Highest SM clock, in MHz.
        sm_clock_max_mhz: u64,
        /// Memory clock now, in MHz.
        memory_clock_mhz: u64,
        /// Highest memory clock, in MHz.
        memory_clock_max_mhz: u64,
        /// Bits of `nvmlClocksEventReasons`.
        clock_event_reasons: u64,
        /// Share of time with a kernel running, in percent.
        utilization: u64,
        /// Share of time with memory traffic, in percent.
        memory_utilization: u64,
        /// Load of the encoder, in percent.
        encoder_utilization: u64,
        /// Load of the decoder, in percent.
        decoder_utilization: u64,
        /// PCIe generation.
        pcie_generation: u64,
        /// PCIe lanes.
        pcie_width: u64,
        /// NVLink links, all active.
        nvlinks: u64,
        /// Corrected ECC errors.
        ecc_corrected: u64,
        /// Uncorrected ECC errors.
        ecc_uncorrected: u64,
        /// Persistence mode, 0 or 1.
        persistence_mode: u64,
        /// `nvmlComputeMode_t`.
        compute_mode: u64,
        /// NVML status that every call on this GPU returns instead of its answer; 0 is none.
        fault: u64,
        /// Time that every call on this GPU takes, in milliseconds.
        hang_ms: u64,
        /// Events recorded since the host was made.
        event_count: u64,
        /// The newest events, at `number % EVENTS`: kind in the upper half, data in the lower.
        events: EventRing,
        /// The process table.
        processes: ProcessTable,
    }
}

/// The newest events of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventRing(pub(crate) [u64; EVENTS]);

impl Record for EventRing {
    const WORDS: usize = EVENTS;

    fn visit(&mut self, visitor: &mut dyn FnMut(&mut u64)) {
        self.0.iter_mut().for_each(visitor);
    }
}

/// The process table of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessTable(pub(crate) [ProcessRecord; PROCESSES]);

impl Default for ProcessTable {
    fn default() -> Self {
        Self([ProcessRecord::default(); PROCESSES])
    }
}

impl Record for ProcessTable {
    const WORDS: usize = PROCESSES * ProcessRecord::WORDS;

    fn visit(&mut self, visitor: &mut dyn FnMut(&mut u64)) {
        self.0.iter_mut().for_each(|process| process.visit(visitor));
    }
}
