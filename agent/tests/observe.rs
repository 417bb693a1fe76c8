//! The agent reads simulated hosts through the driver's own interface.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use dovetail_agent::observe::{
    gpu::{GpuMonitor, GpuReading},
    process::ProcessOwner,
};
use dovetail_model::{gpu::GpuHealth, units::Bytes};
use nvidia_ml::{CreateOptions, Host, HostFile, Process, Setting, library};
use std::{
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

const DEADLINE: Duration = Duration::from_millis(300);

struct Simulated {
    host: Host,
    _directory: tempfile::TempDir,
}

impl Simulated {
    fn new(name: &str) -> Self {
        let text = format!(
            "name = '{name}'\ncpus = 8\nmemory = '64Gi'\n[[gpu]]\nmodel = 'H100-80'\ncount = 8\n"
        );
        let file = HostFile::parse(&text, Path::new("host.toml")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let options = CreateOptions {
            library: library().unwrap(),
            first_minor: 16,
        };
        let (host, _) = Host::create(directory.path(), &file, &options).unwrap();
        Self {
            host,
            _directory: directory,
        }
    }

    fn set(&self, gpu: usize, setting: Setting) {
        self.host.gpu(gpu).unwrap().set(setting).unwrap();
    }

    fn monitor(&self) -> GpuMonitor {
        monitor(self.host.library(), DEADLINE)
    }
}

fn monitor(library: PathBuf, deadline: Duration) -> GpuMonitor {
    let owner = ProcessOwner::new(Path::new("/proc"), Path::new("dovetail.slice"));
    GpuMonitor::start(library, owner, deadline).unwrap()
}

/// Polls until this holds, for at most ten seconds.
fn until(monitor: &mut GpuMonitor, holds: impl Fn(&[GpuReading]) -> bool) {
    let began = Instant::now();
    while !holds(monitor.poll()) {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            monitor.poll()
        );
        monitor.ask();
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn eight_gpus_are_read_with_their_facts_and_measurements() {
    let simulated = Simulated::new("eight");
    simulated.set(2, Setting::Utilization(80));
    let outsider = Process::compute(std::process::id(), nvidia_ml::Bytes(3 << 30));
    simulated
        .host
        .gpu(2)
        .unwrap()
        .add_process(&outsider)
        .unwrap();
    let mut monitor = monitor(simulated.host.library(), Duration::from_secs(10));
    let readings = monitor.wait();
    assert_eq!(readings.len(), 8);
    let gpu = &readings[2];
    assert_eq!((gpu.facts.index, gpu.health), (2, GpuHealth::Ok));
    assert_eq!(gpu.facts.model.as_str(), "H100-80");
    assert!(gpu.facts.memory > Bytes(78 << 30) && gpu.facts.memory < Bytes(80 << 30));
    assert_eq!(
        gpu.facts.device_node(Path::new("/dev")),
        Some(PathBuf::from("/dev/nvidia18"))
    );
    assert_eq!(gpu.sample.utilization_percent, Some(80));
    assert_eq!(gpu.sample.external, Bytes(3 << 30));
    assert_eq!(readings[3].sample.external, Bytes(0));
    assert_eq!(readings[3].sample.power_milliwatts, Some(70_000));
}

#[test]
fn a_lost_gpu_is_lost_alone_and_may_come_back() {
    let simulated = Simulated::new("lost");
    let mut monitor = simulated.monitor();
    until(&mut monitor, |gpus| gpus.len() == 8);
    simulated.set(5, Setting::Lost(true));
    until(&mut monitor, |gpus| gpus[5].health == GpuHealth::Lost);
    let others = monitor.poll().iter().filter(|g| g.health == GpuHealth::Ok);
    assert_eq!(others.count(), 7);
    assert_eq!(monitor.poll()[5].sample.utilization_percent, None);
    simulated.set(5, Setting::Lost(false));
    until(&mut monitor, |gpus| gpus[5].health == GpuHealth::Ok);
}

#[test]
fn an_error_of_the_driver_makes_a_value_absent_and_nothing_else() {
    const UNKNOWN: u32 = 999;
    let simulated = Simulated::new("fault");
    let mut monitor = simulated.monitor();
    until(&mut monitor, |gpus| gpus.len() == 8);
    simulated.set(1, Setting::Fault(UNKNOWN));
    until(&mut monitor, |gpus| gpus[1].sample.memory.is_none());
    assert_eq!(monitor.poll()[1].health, GpuHealth::Ok);
}

#[test]
fn a_gpu_that_hangs_delays_nothing_and_is_unresponsive_alone() {
    let simulated = Simulated::new("hang");
    let mut monitor = simulated.monitor();
    until(&mut monitor, |gpus| gpus.len() == 8);
    simulated.set(3, Setting::HangMs(1500));
    let began = Instant::now();
    until(&mut monitor, |gpus| {
        gpus[3].health == GpuHealth::Unresponsive
    });
    assert!(
        began.elapsed() < Duration::from_millis(1400),
        "a poll never waits"
    );
    let health: Vec<GpuHealth> = monitor.poll().iter().map(|g| g.health).collect();
    assert_eq!(health.iter().filter(|h| **h == GpuHealth::Ok).count(), 7);
    simulated.set(3, Setting::HangMs(0));
    until(&mut monitor, |gpus| gpus[3].health == GpuHealth::Ok);
}

#[test]
fn without_the_library_there_are_no_gpus() {
    let mut monitor = monitor(PathBuf::from("/nonexistent/libnvidia-ml.so.1"), DEADLINE);
    assert_eq!(monitor.wait(), []);
}
