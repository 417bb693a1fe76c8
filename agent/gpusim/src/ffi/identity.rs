//! Who a GPU is: names, numbers, and where it sits on the bus.

use super::abi::{PciInfo, PciInfoExt, set_versioned};
use super::device::{Device, number};
use super::export;
use super::pointer::{Out, TextOut, text_field};
use super::status::{Answer, Status};
use crate::state::GpuRecord;

/// `NVML_BRAND_NVIDIA`
const BRAND: u64 = 14;
/// `NVML_BUS_TYPE_PCIE`
const BUS_TYPE_PCIE: u64 = 2;
/// PCI class of a 3D controller.
const CLASS: (u32, u32) = (0x03, 0x02);

fn text(device: Device, place: TextOut, room: u32, of: impl Fn(&GpuRecord) -> String) -> Answer {
    place.set(room, &of(&device.read()?))
}

fn pci_info(device: Device, place: Out<PciInfo>) -> Answer {
    place.check()?;
    let gpu = device.read()?;
    place.set(PciInfo {
        bus_id_legacy: text_field(&format!("0000:{:02X}:00.0", gpu.pci_bus)),
        domain: 0,
        bus: number(gpu.pci_bus),
        device: 0,
        pci_device_id: number(gpu.pci_device_id),
        pci_sub_system_id: number(gpu.pci_device_id),
        bus_id: text_field(&bus_id(&gpu)),
    })
}

fn bus_id(gpu: &GpuRecord) -> String {
    format!("00000000:{:02X}:00.0", gpu.pci_bus)
}

export! {
    fn nvmlDeviceGetName(device: Device, place: TextOut, room: u32) {
        text(device, place, room, |gpu| gpu.name.to_string())
    }

    fn nvmlDeviceGetUUID(device: Device, place: TextOut, room: u32) {
        text(device, place, room, |gpu| gpu.uuid.to_string())
    }

    fn nvmlDeviceGetSerial(device: Device, place: TextOut, room: u32) {
        text(device, place, room, |gpu| gpu.serial.to_string())
    }

    fn nvmlDeviceGetMinorNumber(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.minor)
    }

    fn nvmlDeviceGetBrand(device: Device, place: Out<u32>) { device.report(place, |_| BRAND) }

    fn nvmlDeviceGetBoardId(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.pci_bus << 8)
    }

    fn nvmlDeviceGetMultiGpuBoard(device: Device, place: Out<u32>) { device.report(place, |_| 0) }

    fn nvmlDeviceGetModuleId(device: Device, place: Out<u32>) {
        device.read()?;
        place.set(number(device.index()? as u64 + 1))
    }

    fn nvmlDeviceGetArchitecture(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.architecture)
    }

    fn nvmlDeviceGetCudaComputeCapability(device: Device, major: Out<u32>, minor: Out<u32>) {
        minor.check()?;
        device.report(major, |gpu| gpu.compute_capability_major)?;
        device.report(minor, |gpu| gpu.compute_capability_minor)
    }

    fn nvmlDeviceGetNumGpuCores(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.cores)
    }

    fn nvmlDeviceGetMemoryBusWidth(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.memory_bus_bits)
    }

    fn nvmlDeviceGetBusType(device: Device, place: Out<u32>) {
        device.report(place, |_| BUS_TYPE_PCIE)
    }

    fn nvmlDeviceGetPciInfo_v2(device: Device, place: Out<PciInfo>) { pci_info(device, place) }
    fn nvmlDeviceGetPciInfo_v3(device: Device, place: Out<PciInfo>) { pci_info(device, place) }

    fn nvmlDeviceGetPciInfoExt(device: Device, place: Out<PciInfoExt>) {
        place.check()?;
        let gpu = device.read()?;
        set_versioned(place, PciInfoExt {
            version: place.get()?.version,
            domain: 0,
            bus: number(gpu.pci_bus),
            device: 0,
            pci_device_id: number(gpu.pci_device_id),
            pci_sub_system_id: number(gpu.pci_device_id),
            base_class: CLASS.0,
            sub_class: CLASS.1,
            bus_id: text_field(&bus_id(&gpu)),
        })
    }

    fn nvmlDeviceGetDisplayMode(device: Device, place: Out<u32>) { device.report(place, |_| 0) }
    fn nvmlDeviceGetDisplayActive(device: Device, place: Out<u32>) { device.report(place, |_| 0) }

    fn nvmlDeviceGetPersistenceMode(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.persistence_mode)
    }

    fn nvmlDeviceSetPersistenceMode(device: Device, mode: u32) {
        if mode > 1 {
            return Err(Status::InvalidArgument);
        }
        device.update(|gpu| gpu.persistence_mode = mode.into())
    }

    fn nvmlDeviceGetComputeMode(device: Device, place: Out<u32>) {
        device.report(place, |gpu| gpu.compute_mode)
    }

    fn nvmlDeviceSetComputeMode(device: Device, mode: u32) {
        // 0 default, 2 prohibited, 3 exclusive process; 1 was exclusive thread.
        if !matches!(mode, 0 | 2 | 3) {
            return Err(Status::InvalidArgument);
        }
        device.update(|gpu| gpu.compute_mode = mode.into())
    }
}
