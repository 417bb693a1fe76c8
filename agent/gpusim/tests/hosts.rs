//! Simulated hosts read through nvml-wrapper, as the agent reads a real driver.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;

use nvidia_ml::{Bytes, CreateOptions, Host, HostFile, Process, ProcessKind, Setting, library};
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{Clock, PerformanceState, TemperatureSensor};
use nvml_wrapper::enums::device::{DeviceArchitecture, UsedGpuMemory};
use nvml_wrapper::error::NvmlError;

struct Simulated {
    host: Host,
    directory: tempfile::TempDir,
}

impl Simulated {
    fn new(name: &str, gpus: &[(&str, usize)], first_minor: u32) -> Self {
        let mut text = format!("name = '{name}'\ncpus = 128\nmemory = '2Ti'\n");
        for (model, count) in gpus {
            text += &format!("[[gpu]]\nmodel = '{model}'\ncount = {count}\n");
        }
        let file = HostFile::parse(&text, Path::new("host.toml")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let options = CreateOptions {
            library: library().unwrap(),
            first_minor,
        };
        let (host, _) = Host::create(directory.path(), &file, &options).unwrap();
        Self { host, directory }
    }

    fn nvml(&self) -> Nvml {
        Nvml::builder()
            .lib_path(self.host.library().as_os_str())
            .init()
            .unwrap()
    }
}

#[test]
fn eight_h100_are_read_with_their_names_sizes_and_limits() {
    let simulated = Simulated::new("h100", &[("H100-80", 8)], 0);
    let nvml = simulated.nvml();
    assert_eq!(nvml.device_count().unwrap(), 8);
    assert_eq!(nvml.sys_driver_version().unwrap(), "580.95.05");
    assert_eq!(nvml.sys_cuda_driver_version().unwrap(), 13_000);
    for index in 0..8 {
        let device = nvml.device_by_index(index).unwrap();
        assert_eq!(device.name().unwrap(), "NVIDIA H100 80GB HBM3");
        assert_eq!(device.minor_number().unwrap(), index);
        assert_eq!(device.index().unwrap(), index);
        let memory = device.memory_info().unwrap();
        assert_eq!((memory.total, memory.used), (81_559 << 20, 0));
        assert_eq!(memory.free + memory.reserved, memory.total);
        assert_eq!(device.enforced_power_limit().unwrap(), 700_000);
        assert_eq!(device.power_usage().unwrap(), 70_000);
        assert_eq!(device.clock_info(Clock::Memory).unwrap(), 2_619);
        assert_eq!(device.max_clock_info(Clock::SM).unwrap(), 1_980);
        assert_eq!(device.temperature(TemperatureSensor::Gpu).unwrap(), 32);
        assert_eq!(device.cuda_compute_capability().unwrap().major, 9);
        assert_eq!(device.architecture().unwrap(), DeviceArchitecture::Hopper);
        assert_eq!(device.performance_state().unwrap(), PerformanceState::Eight);
        assert!(device.link_wrapper_for(17).is_active().unwrap());
        assert!(matches!(device.mig_mode(), Err(NvmlError::NotSupported)));
    }
}

#[test]
fn a_device_is_found_by_uuid_and_by_pci_address() {
    let simulated = Simulated::new("lookup", &[("L4-24", 8)], 0);
    let nvml = simulated.nvml();
    let fifth = nvml.device_by_index(5).unwrap();
    let (uuid, pci) = (fifth.uuid().unwrap(), fifth.pci_info().unwrap());
    assert_eq!(nvml.device_by_uuid(uuid).unwrap().index().unwrap(), 5);
    assert_eq!(
        nvml.device_by_pci_bus_id(pci.bus_id)
            .unwrap()
            .index()
            .unwrap(),
        5
    );
    assert!(matches!(
        nvml.device_by_uuid("GPU-none"),
        Err(NvmlError::NotFound)
    ));
    assert!(matches!(
        nvml.device_by_index(8),
        Err(NvmlError::InvalidArg)
    ));
}

#[test]
fn four_a100_and_a_mixed_host_are_read_in_the_order_of_the_file() {
    let four = Simulated::new("a100", &[("A100-40", 4)], 0);
    assert_eq!(four.nvml().device_count().unwrap(), 4);
    let mixed = Simulated::new("mixed", &[("T4-16", 1), ("B200-180", 2), ("A30-24", 1)], 40);
    let nvml = mixed.nvml();
    let devices = (0..4).map(|index| nvml.device_by_index(index).unwrap());
    let read: Vec<_> = devices
        .map(|device| (device.name().unwrap(), device.minor_number().unwrap()))
        .collect();
    let expected = [
        ("Tesla T4", 40),
        ("NVIDIA B200", 41),
        ("NVIDIA B200", 42),
        ("NVIDIA A30", 43),
    ];
    assert_eq!(read, expected.map(|(name, minor)| (name.to_owned(), minor)));
}

#[test]
fn a_host_without_gpus_has_a_driver_and_no_devices() {
    let nvml = Simulated::new("none", &[], 0).nvml();
    assert_eq!(nvml.device_count().unwrap(), 0);
    assert!(nvml.device_by_index(0).is_err());
}

#[test]
fn a_change_of_the_state_is_read_at_once() {
    let simulated = Simulated::new("live", &[("H200-141", 2)], 0);
    let nvml = simulated.nvml();
    let device = nvml.device_by_index(1).unwrap();
    let gpu = simulated.host.gpu(1).unwrap();
    gpu.set_utilization(73).unwrap();
    gpu.set(Setting::Power(512)).unwrap();
    gpu.set(Setting::Temperature(71)).unwrap();
    gpu.set(Setting::MemoryUsed(Bytes(20 << 30))).unwrap();
    assert_eq!(device.utilization_rates().unwrap().gpu, 73);
    assert_eq!(device.power_usage().unwrap(), 512_000);
    assert_eq!(device.temperature(TemperatureSensor::Gpu).unwrap(), 71);
    assert_eq!(device.memory_info().unwrap().used, 20 << 30);
    assert_eq!(
        nvml.device_by_index(0)
            .unwrap()
            .utilization_rates()
            .unwrap()
            .gpu,
        0
    );
}

#[test]
fn energy_grows_with_power() {
    let simulated = Simulated::new("energy", &[("H100-80", 1)], 0);
    let nvml = simulated.nvml();
    let device = nvml.device_by_index(0).unwrap();
    simulated
        .host
        .gpu(0)
        .unwrap()
        .set(Setting::Power(1_000))
        .unwrap();
    let before = device.total_energy_consumption().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    let drawn = device.total_energy_consumption().unwrap() - before;
    assert!(drawn >= 48_000, "1 kW for 50 ms is 50 000 mJ, not {drawn}");
}

#[test]
fn processes_are_listed_with_memory_until_they_end() {
    let simulated = Simulated::new("processes", &[("H100-80", 1)], 0);
    let nvml = simulated.nvml();
    let device = nvml.device_by_index(0).unwrap();
    let gpu = simulated.host.gpu(0).unwrap();
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    gpu.add_process(&Process::compute(std::process::id(), Bytes(4 << 30)))
        .unwrap();
    let mps = Process {
        kind: ProcessKind::Mps,
        ..Process::compute(child.id(), Bytes(1 << 30))
    };
    gpu.add_process(&mps).unwrap();

    let compute = device.running_compute_processes().unwrap();
    assert_eq!(compute.len(), 1);
    assert_eq!(compute[0].pid, std::process::id());
    assert_eq!(compute[0].used_gpu_memory, UsedGpuMemory::Used(4 << 30));
    assert_eq!(compute[0].gpu_instance_id, None);
    assert_eq!(
        device.mps_running_compute_processes().unwrap()[0].pid,
        child.id()
    );
    assert!(device.running_graphics_processes().unwrap().is_empty());
    assert_eq!(device.memory_info().unwrap().used, 5 << 30);

    gpu.set(Setting::ProcessMemoryHidden(true)).unwrap();
    let hidden = device.running_compute_processes().unwrap();
    assert_eq!(hidden[0].used_gpu_memory, UsedGpuMemory::Unavailable);

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(device.mps_running_compute_processes().unwrap().is_empty());
    assert_eq!(device.memory_info().unwrap().used, 4 << 30);
    assert!(gpu.remove_process(std::process::id()).unwrap());
    assert!(device.running_compute_processes().unwrap().is_empty());
}

#[test]
fn a_lost_gpu_answers_so_and_its_siblings_go_on() {
    let simulated = Simulated::new("lost", &[("A100-80", 2)], 0);
    let nvml = simulated.nvml();
    let device = nvml.device_by_index(0).unwrap();
    simulated.host.gpu(0).unwrap().set_lost(true).unwrap();
    assert!(matches!(device.memory_info(), Err(NvmlError::GpuLost)));
    assert!(matches!(device.uuid(), Err(NvmlError::GpuLost)));
    assert!(matches!(nvml.device_by_index(0), Err(NvmlError::GpuLost)));
    assert_eq!(nvml.device_count().unwrap(), 2);
    assert!(nvml.device_by_index(1).unwrap().memory_info().is_ok());
    simulated.host.gpu(0).unwrap().set_lost(false).unwrap();
    assert!(device.memory_info().is_ok());
}

#[test]
fn an_event_set_delivers_the_xid_of_a_lost_gpu_and_then_times_out() {
    let simulated = Simulated::new("events", &[("A100-80", 2)], 0);
    let nvml = simulated.nvml();
    let set = nvml.create_event_set().unwrap();
    let device = nvml.device_by_index(1).unwrap();
    let set = device
        .register_events(EventTypes::CRITICAL_XID_ERROR, set)
        .unwrap();
    assert!(matches!(set.wait(1), Err(NvmlError::Timeout)));
    simulated
        .host
        .gpu(0)
        .unwrap()
        .set(Setting::Xid(31))
        .unwrap();
    simulated.host.gpu(1).unwrap().set_lost(true).unwrap();
    let event = set.wait(1_000).unwrap();
    let shown = format!("{:?}", event.event_data);
    assert!(shown.contains("79"), "{shown}");
    assert!(matches!(set.wait(1), Err(NvmlError::Timeout)));
}

#[test]
fn a_hanging_gpu_delays_its_own_calls_only() {
    let simulated = Simulated::new("hang", &[("L4-24", 2)], 0);
    let nvml = simulated.nvml();
    let (slow, quick) = (
        nvml.device_by_index(0).unwrap(),
        nvml.device_by_index(1).unwrap(),
    );
    simulated
        .host
        .gpu(0)
        .unwrap()
        .set(Setting::HangMs(150))
        .unwrap();
    let timed = |device: &nvml_wrapper::Device<'_>| {
        let start = std::time::Instant::now();
        device.power_usage().unwrap();
        start.elapsed().as_millis()
    };
    assert!(timed(&slow) >= 150);
    assert!(timed(&quick) < 150);
}

#[test]
fn two_hosts_are_read_in_one_process_at_once() {
    let one = Simulated::new("one", &[("H100-80", 1)], 0);
    let other = Simulated::new("other", &[("L4-24", 2)], 1);
    let (first, second) = (one.nvml(), other.nvml());
    assert_eq!(first.device_count().unwrap(), 1);
    assert_eq!(second.device_count().unwrap(), 2);
    let (device, sibling) = (
        first.device_by_index(0).unwrap(),
        second.device_by_index(0).unwrap(),
    );
    assert_ne!(device.uuid().unwrap(), sibling.uuid().unwrap());
    assert_ne!(
        device.minor_number().unwrap(),
        sibling.minor_number().unwrap()
    );
    one.host.gpu(0).unwrap().set_utilization(50).unwrap();
    assert_eq!(device.utilization_rates().unwrap().gpu, 50);
    assert_eq!(sibling.utilization_rates().unwrap().gpu, 0);
}

#[test]
fn settings_that_root_makes_through_nvml_hold() {
    let simulated = Simulated::new("settings", &[("H100-80", 1)], 0);
    let nvml = simulated.nvml();
    let mut device = nvml.device_by_index(0).unwrap();
    device.set_power_management_limit(400_000).unwrap();
    assert_eq!(device.enforced_power_limit().unwrap(), 400_000);
    assert!(matches!(
        device.set_power_management_limit(900_000),
        Err(NvmlError::InvalidArg)
    ));
    let reopened = Host::open(simulated.directory.path()).unwrap();
    assert_eq!(
        reopened.gpu(0).unwrap().read().unwrap().power_limit_mw,
        400_000
    );
}

#[test]
fn topology_follows_the_halves_of_the_host() {
    let simulated = Simulated::new("topology", &[("H100-80", 8)], 0);
    let nvml = simulated.nvml();
    let device = |index| nvml.device_by_index(index).unwrap();
    assert_eq!(device(3).numa_node_id().unwrap(), 0);
    assert_eq!(device(4).numa_node_id().unwrap(), 1);
    let cpus = device(4).cpu_affinity(2).unwrap();
    assert_eq!(cpus, [0, u64::MAX]);
}

#[test]
fn a_second_host_in_one_directory_is_refused() {
    let simulated = Simulated::new("first", &[("L4-24", 1)], 0);
    let file = "name = 'second'\ncpus = 1\nmemory = '1Gi'\n";
    let file = HostFile::parse(file, Path::new("host.toml")).unwrap();
    let options = CreateOptions {
        library: library().unwrap(),
        first_minor: 0,
    };
    let error = Host::create(simulated.directory.path(), &file, &options).unwrap_err();
    assert!(
        error.to_string().contains("already holds a simulated host"),
        "{error}"
    );
}

#[test]
fn minors_beyond_the_last_gpu_minor_are_refused() {
    let text = "name = 'a'\ncpus = 1\nmemory = '1Gi'\n[[gpu]]\nmodel = 'L4-24'\ncount = 8\n";
    let file = HostFile::parse(text, Path::new("host.toml")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = CreateOptions {
        library: library().unwrap(),
        first_minor: 247,
    };
    let error = Host::create(directory.path(), &file, &options).unwrap_err();
    assert!(error.to_string().contains("--first-minor"), "{error}");
    let options = CreateOptions {
        first_minor: 246,
        ..options
    };
    Host::create(directory.path(), &file, &options).unwrap();
}
