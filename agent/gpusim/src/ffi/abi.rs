//! The structures of NVML that callers pass, laid out as its header declares them.

use std::ffi::c_char;

use super::device::Device;
use super::pointer::Out;
use super::status::{Answer, Status};

/// NVML's number for "not available" in a field of 64 bits.
pub(super) const NOT_AVAILABLE: u64 = u64::MAX;
/// The instance id of a process that does not run in a MIG instance.
pub(super) const NO_INSTANCE: u32 = u32::MAX;

/// A structure whose first word is `size | version << 24`.
pub(super) trait Versioned: Copy {
    const VERSION: u32;
    fn version_word(&self) -> u32;

    /// The word that a caller must have set.
    fn expected() -> u32 {
        let size = u32::try_from(size_of::<Self>()).expect("NVML's structures are small");
        size | Self::VERSION << 24
    }
}

/// Reads a structure and checks its version word.
pub(super) fn get_versioned<T: Versioned>(place: Out<T>) -> Result<T, Status> {
    let value = place.get()?;
    if value.version_word() == T::expected() {
        Ok(value)
    } else {
        Err(Status::ArgumentVersionMismatch)
    }
}

/// Checks the version word of the caller's structure, then replaces it.
pub(super) fn set_versioned<T: Versioned>(place: Out<T>, value: T) -> Answer {
    get_versioned(place)?;
    place.set(value)
}

/// Declares structures in C layout; those with a version say so.
macro_rules! structures {
    ($($(#[$meta:meta])* struct $name:ident $([version $version:literal])? {
        $($field:ident: $kind:ty,)*
    })*) => {$(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $name {
            $(pub(super) $field: $kind,)*
        }

        $(impl Versioned for $name {
            const VERSION: u32 = $version;

            fn version_word(&self) -> u32 {
                self.version
            }
        })?
    )*};
}

structures! {
    /// `nvmlPciInfo_t`; the oldest function has the same fields without the last.
    struct PciInfo {
        bus_id_legacy: [c_char; 16],
        domain: u32,
        bus: u32,
        device: u32,
        pci_device_id: u32,
        pci_sub_system_id: u32,
        bus_id: [c_char; 32],
    }

    /// `nvmlPciInfoExt_v1_t`
    struct PciInfoExt [version 1] {
        version: u32,
        domain: u32,
        bus: u32,
        device: u32,
        pci_device_id: u32,
        pci_sub_system_id: u32,
        base_class: u32,
        sub_class: u32,
        bus_id: [c_char; 32],
    }

    /// `nvmlMemory_t`
    struct Memory {
        total: u64,
        free: u64,
        used: u64,
    }

    /// `nvmlMemory_v2_t`
    struct MemoryV2 [version 2] {
        version: u32,
        total: u64,
        reserved: u64,
        free: u64,
        used: u64,
    }

    /// `nvmlBAR1Memory_t`
    struct Bar1Memory {
        total: u64,
        free: u64,
        used: u64,
    }

    /// `nvmlUtilization_t`
    struct Utilization {
        gpu: u32,
        memory: u32,
    }

    /// `nvmlProcessInfo_v1_t`: 16 bytes.
    struct ProcessInfoV1 {
        pid: u32,
        used_memory: u64,
    }

    /// `nvmlProcessInfo_v2_t`, which `nvmlProcessInfo_t` is: 24 bytes.
    struct ProcessInfoV2 {
        pid: u32,
        used_memory: u64,
        gpu_instance: u32,
        compute_instance: u32,
    }

    /// `nvmlProcessDetail_v1_t`
    struct ProcessDetail {
        pid: u32,
        used_memory: u64,
        gpu_instance: u32,
        compute_instance: u32,
        used_protected_memory: u64,
    }

    /// `nvmlProcessDetailList_v1_t`
    struct ProcessDetailList [version 1] {
        version: u32,
        mode: u32,
        count: u32,
        entries: *mut ProcessDetail,
    }

    /// `nvmlProcessUtilizationSample_t`
    struct ProcessUtilization {
        pid: u32,
        time_us: u64,
        sm: u32,
        memory: u32,
        encoder: u32,
        decoder: u32,
    }

    /// `nvmlSample_t`, whose value is a union of 8 bytes.
    struct Sample {
        time_us: u64,
        value: u64,
    }

    /// `nvmlFieldValue_t`, whose value is a union of 8 bytes.
    struct FieldValue {
        field: u32,
        scope: u32,
        time_us: i64,
        latency_us: i64,
        value_type: u32,
        status: u32,
        value: u64,
    }

    /// `nvmlTemperature_v1_t`
    struct Temperature [version 1] {
        version: u32,
        sensor: u32,
        degrees: i32,
    }

    /// `nvmlEventData_t`
    struct EventData {
        device: Device,
        kind: u64,
        data: u64,
        gpu_instance: u32,
        compute_instance: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_header() {
        assert_eq!(size_of::<PciInfo>(), 68);
        assert_eq!(size_of::<MemoryV2>(), 40);
        assert_eq!(size_of::<ProcessInfoV1>(), 16);
        assert_eq!(size_of::<ProcessInfoV2>(), 24);
        assert_eq!(size_of::<ProcessDetail>(), 32);
        assert_eq!(size_of::<ProcessUtilization>(), 32);
        assert_eq!(size_of::<FieldValue>(), 40);
        assert_eq!(size_of::<EventData>(), 32);
    }

    #[test]
    fn the_version_word_holds_size_and_version() {
        assert_eq!(MemoryV2::expected(), 0x0200_0028);
        assert_eq!(Temperature::expected(), 0x0100_000C);
    }
}
