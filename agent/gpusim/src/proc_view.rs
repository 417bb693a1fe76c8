//! The capacity view: files of `/proc` that say how many CPUs and how much memory a host has.
//!
//! The counters describe an idle host and stand still. What a process uses is read from the real
//! kernel; only what the machine *has* is simulated.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::device_nodes::{NVIDIA_MAJOR, UVM_MAJOR};
use crate::host_file::HostFile;

/// Uptime of a fresh host, in seconds: long enough for every average to have settled.
const UPTIME_S: u64 = 3_600;
/// Kernel clock ticks a second, the value of every Linux platform that runs NVIDIA GPUs.
const TICKS_PER_S: u64 = 100;
/// Share of a fresh host's memory that kernel and services use: one part in this many.
const USED_MEMORY_PART: u64 = 64;

const PRESSURE: &str = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n\
                        full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";

/// Writes the view into `root`.
pub(crate) fn write_proc_view(root: &Path, file: &HostFile) -> io::Result<()> {
    let boot = now_s().saturating_sub(UPTIME_S);
    fs::create_dir_all(root.join("pressure"))?;
    fs::create_dir_all(root.join("sys/kernel/random"))?;
    for resource in ["cpu", "memory", "io"] {
        fs::write(root.join("pressure").join(resource), PRESSURE)?;
    }
    fs::write(root.join("stat"), stat(file.cpus, boot))?;
    fs::write(root.join("cpuinfo"), cpuinfo(file.cpus))?;
    fs::write(root.join("meminfo"), meminfo(file.memory.0 / 1024))?;
    fs::write(root.join("loadavg"), "0.00 0.00 0.00 1/200 1000\n")?;
    fs::write(root.join("uptime"), uptime(file.cpus))?;
    fs::write(root.join("devices"), devices())?;
    fs::write(root.join("sys/kernel/random/boot_id"), boot_id(&file.name))?;
    Ok(())
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

fn stat(cpus: u32, boot: u64) -> String {
    let idle = UPTIME_S * TICKS_PER_S;
    let mut text = format!("cpu  0 0 0 {} 0 0 0 0 0 0\n", idle * u64::from(cpus));
    for cpu in 0..cpus {
        line(&mut text, format_args!("cpu{cpu} 0 0 0 {idle} 0 0 0 0 0 0"));
    }
    line(
        &mut text,
        format_args!("intr 0\nctxt 0\nbtime {boot}\nprocesses 1"),
    );
    line(
        &mut text,
        format_args!("procs_running 1\nprocs_blocked 0\nsoftirq 0"),
    );
    text
}

fn cpuinfo(cpus: u32) -> String {
    let mut text = String::new();
    for cpu in 0..cpus {
        line(
            &mut text,
            format_args!("processor\t: {cpu}\nmodel name\t: simulated\n"),
        );
    }
    text
}

fn meminfo(total_kib: u64) -> String {
    let free = total_kib - total_kib / USED_MEMORY_PART;
    let rows = [
        ("MemTotal", total_kib),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", total_kib - free),
        ("Inactive", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", 0),
        ("Mapped", 0),
        ("Shmem", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("PageTables", 0),
        ("CommitLimit", total_kib / 2),
        ("Committed_AS", total_kib - free),
        ("VmallocTotal", 34_359_738_367),
        ("VmallocUsed", 0),
        ("VmallocChunk", 0),
    ];
    let mut text = String::new();
    for (name, kib) in rows {
        line(
            &mut text,
            format_args!("{:<16}{kib:>11} kB", format!("{name}:")),
        );
    }
    text
}

fn uptime(cpus: u32) -> String {
    format!("{UPTIME_S}.00 {}.00\n", UPTIME_S * u64::from(cpus))
}

fn devices() -> String {
    format!(
        "Character devices:\n  1 mem\n{NVIDIA_MAJOR:>3} nvidia\n{UVM_MAJOR:>3} nvidia-uvm\n\n\
         Block devices:\n"
    )
}

/// A boot id of version 4 that is new each time a host is made, as after a reboot.
fn boot_id(name: &str) -> String {
    let now_ns = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_nanos());
    let digest = Sha256::digest(format!("{name} {now_ns} {}", std::process::id()));
    let word = |from: usize| u16::from_be_bytes([digest[from], digest[from + 1]]);
    let version = word(6) & 0x0FFF | 0x4000;
    let variant = word(8) & 0x3FFF | 0x8000;
    format!(
        "{:04x}{:04x}-{:04x}-{version:04x}-{variant:04x}-{:04x}{:04x}{:04x}\n",
        word(0),
        word(2),
        word(4),
        word(10),
        word(12),
        word(14)
    )
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use procfs::{FromRead, FromReadSI};

    use super::*;

    #[test]
    fn the_view_shows_the_cpus_and_memory_of_the_host_file() {
        let directory = tempfile::tempdir().unwrap();
        let text = "name = 'a'\ncpus = 96\nmemory = '2Ti'\n";
        let file = HostFile::parse(text, Path::new("host.toml")).unwrap();
        write_proc_view(directory.path(), &file).unwrap();
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        let cpus = read("stat")
            .lines()
            .filter(|line| line.starts_with("cpu"))
            .count();
        assert_eq!(cpus, 97);
        assert!(read("meminfo").starts_with("MemTotal:        2147483648 kB\n"));
        assert!(read("pressure/io").contains("full avg10=0.00"));
        assert_eq!(read("sys/kernel/random/boot_id").trim().len(), 36);
        assert!(read("devices").contains("195 nvidia\n511 nvidia-uvm\n"));
    }

    #[test]
    fn the_view_is_read_by_the_procfs_crate_as_the_kernel_is() {
        let directory = tempfile::tempdir().unwrap();
        let text = "name = 'a'\ncpus = 3\nmemory = '8Gi'\n";
        let file = HostFile::parse(text, Path::new("host.toml")).unwrap();
        write_proc_view(directory.path(), &file).unwrap();
        let path = |name: &str| directory.path().join(name);
        let stat = procfs::KernelStats::from_file(path("stat"), procfs::current_system_info());
        assert_eq!(stat.unwrap().cpu_time.len(), 3);
        let memory = procfs::Meminfo::from_file(path("meminfo")).unwrap();
        assert_eq!(memory.mem_total, 8 << 30);
        assert!(memory.mem_available.unwrap() < memory.mem_total);
        assert!(procfs::LoadAverage::from_file(path("loadavg")).is_ok());
        assert!(procfs::Uptime::from_file(path("uptime")).is_ok());
        assert!(procfs::MemoryPressure::from_file(path("pressure/memory")).is_ok());
        let devices = procfs::Devices::from_file(path("devices"))
            .unwrap()
            .char_devices;
        assert!(
            devices
                .iter()
                .any(|device| device.name == "nvidia" && device.major == 195)
        );
    }
}
