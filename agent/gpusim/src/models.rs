//! What each simulated GPU model reports: names, sizes, limits and clocks, as data.

/// One GPU model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Name in host files, such as `H100-80`.
    pub key: &'static str,
    /// Name that NVML reports.
    pub name: &'static str,
    /// Device memory that NVML reports as total, in MiB.
    pub memory_mib: u64,
    /// Device memory that the driver keeps for itself, in MiB.
    pub reserved_mib: u64,
    /// PCI device and vendor id.
    pub pci_device_id: u32,
    /// CUDA compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// `nvmlDeviceArchitecture_t`.
    pub architecture: u32,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// CUDA cores.
    pub cores: u32,
    /// Width of the memory bus, in bits.
    pub memory_bus_bits: u32,
    /// Highest and default power limit, in watts.
    pub power_limit_w: u32,
    /// Lowest power limit that may be set, in watts.
    pub power_floor_w: u32,
    /// Power drawn when idle, in watts.
    pub idle_power_w: u32,
    /// Highest SM clock, in MHz.
    pub sm_clock_mhz: u32,
    /// Memory clock, in MHz.
    pub memory_clock_mhz: u32,
    /// PCIe generation.
    pub pcie_generation: u32,
    /// NVLink links, all active.
    pub nvlinks: u32,
}

/// `NVML_DEVICE_ARCH_*`.
mod architecture {
    pub(super) const TURING: u32 = 6;
    pub(super) const AMPERE: u32 = 7;
    pub(super) const ADA: u32 = 8;
    pub(super) const HOPPER: u32 = 9;
    pub(super) const BLACKWELL: u32 = 10;
}

const A30_24: Model = Model {
    key: "A30-24",
    name: "NVIDIA A30",
    memory_mib: 24_576,
    reserved_mib: 507,
    pci_device_id: 0x20B7_10DE,
    compute_capability: (8, 0),
    architecture: architecture::AMPERE,
    multiprocessors: 56,
    cores: 3_584,
    memory_bus_bits: 3_072,
    power_limit_w: 165,
    power_floor_w: 100,
    idle_power_w: 30,
    sm_clock_mhz: 1_440,
    memory_clock_mhz: 1_215,
    pcie_generation: 4,
    nvlinks: 0,
};

const A100_40: Model = Model {
    key: "A100-40",
    name: "NVIDIA A100-SXM4-40GB",
    memory_mib: 40_960,
    reserved_mib: 571,
    pci_device_id: 0x20B0_10DE,
    compute_capability: (8, 0),
    architecture: architecture::AMPERE,
    multiprocessors: 108,
    cores: 6_912,
    memory_bus_bits: 5_120,
    power_limit_w: 400,
    power_floor_w: 100,
    idle_power_w: 52,
    sm_clock_mhz: 1_410,
    memory_clock_mhz: 1_215,
    pcie_generation: 4,
    nvlinks: 12,
};

const A100_80: Model = Model {
    key: "A100-80",
    name: "NVIDIA A100-SXM4-80GB",
    memory_mib: 81_920,
    reserved_mib: 621,
    pci_device_id: 0x20B2_10DE,
    idle_power_w: 60,
    memory_clock_mhz: 1_593,
    ..A100_40
};

const H100_80: Model = Model {
    key: "H100-80",
    name: "NVIDIA H100 80GB HBM3",
    memory_mib: 81_559,
    reserved_mib: 551,
    pci_device_id: 0x2330_10DE,
    compute_capability: (9, 0),
    architecture: architecture::HOPPER,
    multiprocessors: 132,
    cores: 16_896,
    memory_bus_bits: 5_120,
    power_limit_w: 700,
    power_floor_w: 200,
    idle_power_w: 70,
    sm_clock_mhz: 1_980,
    memory_clock_mhz: 2_619,
    pcie_generation: 5,
    nvlinks: 18,
};

const H200_141: Model = Model {
    key: "H200-141",
    name: "NVIDIA H200",
    memory_mib: 143_771,
    reserved_mib: 620,
    pci_device_id: 0x2335_10DE,
    memory_bus_bits: 6_144,
    idle_power_w: 75,
    memory_clock_mhz: 3_201,
    ..H100_80
};

const B200_180: Model = Model {
    key: "B200-180",
    name: "NVIDIA B200",
    memory_mib: 183_359,
    reserved_mib: 731,
    pci_device_id: 0x2901_10DE,
    compute_capability: (10, 0),
    architecture: architecture::BLACKWELL,
    multiprocessors: 148,
    cores: 18_944,
    memory_bus_bits: 8_192,
    power_limit_w: 1_000,
    power_floor_w: 200,
    idle_power_w: 140,
    sm_clock_mhz: 1_965,
    memory_clock_mhz: 3_996,
    ..H100_80
};

const L4_24: Model = Model {
    key: "L4-24",
    name: "NVIDIA L4",
    memory_mib: 23_034,
    reserved_mib: 457,
    pci_device_id: 0x27B8_10DE,
    compute_capability: (8, 9),
    architecture: architecture::ADA,
    multiprocessors: 58,
    cores: 7_424,
    memory_bus_bits: 192,
    power_limit_w: 72,
    power_floor_w: 40,
    idle_power_w: 16,
    sm_clock_mhz: 2_040,
    memory_clock_mhz: 6_251,
    pcie_generation: 4,
    nvlinks: 0,
};

const L40S_48: Model = Model {
    key: "L40S-48",
    name: "NVIDIA L40S",
    memory_mib: 46_068,
    reserved_mib: 603,
    pci_device_id: 0x26B9_10DE,
    multiprocessors: 142,
    cores: 18_176,
    memory_bus_bits: 384,
    power_limit_w: 350,
    power_floor_w: 100,
    idle_power_w: 35,
    sm_clock_mhz: 2_520,
    memory_clock_mhz: 9_001,
    ..L4_24
};

const T4_16: Model = Model {
    key: "T4-16",
    name: "Tesla T4",
    memory_mib: 15_360,
    reserved_mib: 428,
    pci_device_id: 0x1EB8_10DE,
    compute_capability: (7, 5),
    architecture: architecture::TURING,
    multiprocessors: 40,
    cores: 2_560,
    memory_bus_bits: 256,
    power_limit_w: 70,
    power_floor_w: 60,
    idle_power_w: 12,
    sm_clock_mhz: 1_590,
    memory_clock_mhz: 5_001,
    pcie_generation: 3,
    nvlinks: 0,
};

const MODELS: [Model; 9] = [
    A30_24, A100_40, A100_80, H100_80, H200_141, L4_24, T4_16, L40S_48, B200_180,
];

/// The model with this key.
#[must_use]
pub fn find_model(key: &str) -> Option<&'static Model> {
    const TABLE: &[Model] = &MODELS;
    TABLE.iter().find(|model| model.key == key)
}

/// The keys of all models, in the order of the table.
pub fn model_keys() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|model| model.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_found_by_its_key_and_has_room_and_power() {
        for key in model_keys() {
            let model = find_model(key).unwrap();
            assert!(model.reserved_mib < model.memory_mib, "{key}");
            assert!(model.idle_power_w < model.power_floor_w, "{key}");
            assert!(model.power_floor_w < model.power_limit_w, "{key}");
            assert_eq!(model.pci_device_id & 0xFFFF, 0x10DE, "{key}");
        }
        assert_eq!(find_model("H100"), None);
    }
}
