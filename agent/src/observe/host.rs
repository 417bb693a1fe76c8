//! CPU, memory, load and pressure, as procfs says.

use super::kept::KeptFile;
use dovetail_model::{
    id::BootId,
    node::Sample,
    units::{Bytes, CpuMilli},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why the host cannot be read.
#[derive(Debug, Error)]
pub enum ReadHostError {
    /// A file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not say what it should.
    #[error("failed to find {what} in `{}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
}

/// What the host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Logical CPUs that are on line.
    pub cpu: CpuMilli,
    /// Memory that the kernel manages.
    pub memory: Bytes,
}

/// Reads what the host has below this root of procfs.
pub fn capacity(proc_root: &Path) -> Result<Capacity, ReadHostError> {
    let stat = proc_root.join("stat");
    let cpus = whole(&stat)?.lines().filter(|line| is_cpu(line)).count();
    let meminfo = proc_root.join("meminfo");
    let text = whole(&meminfo)?;
    let memory = kib(&text, "MemTotal:").ok_or(ReadHostError::Missing {
        path: meminfo,
        what: "MemTotal",
    })?;
    if cpus == 0 {
        let what = "a line of one CPU";
        return Err(ReadHostError::Missing { path: stat, what });
    }
    Ok(Capacity {
        cpu: CpuMilli(u64::try_from(cpus).unwrap_or(u64::MAX)).times(1000),
        memory,
    })
}

/// The kernel's id of this boot: of the root if it has one, else of the real kernel.
pub fn boot_id(proc_root: &Path) -> Result<BootId, ReadHostError> {
    const FILE: &str = "sys/kernel/random/boot_id";
    let path = proc_root.join(FILE);
    let text = fs::read_to_string(&path).or_else(|_| whole(&Path::new("/proc").join(FILE)))?;
    let id = text.trim();
    if id.is_empty() {
        let what = "a boot id";
        return Err(ReadHostError::Missing { path, what });
    }
    Ok(BootId(id.into()))
}

fn whole(path: &Path) -> Result<String, ReadHostError> {
    fs::read_to_string(path).map_err(|source| ReadHostError::Read {
        path: path.to_owned(),
        source,
    })
}

fn is_cpu(line: &str) -> bool {
    line.strip_prefix("cpu")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Reads the same files each second through descriptors that stay open.
#[derive(Debug)]
pub struct HostReader {
    root: PathBuf,
    cpu: CpuMilli,
    stat: KeptFile,
    meminfo: KeptFile,
    loadavg: KeptFile,
    /// CPU, memory, I/O; none where the kernel has no pressure accounting.
    pressure: [Option<KeptFile>; 3],
    last: Option<Ticks>,
}

/// CPU time since boot, summed over all CPUs, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    total: u64,
}

impl HostReader {
    /// Opens the files below this root of procfs. Pressure may be missing, nothing else.
    pub fn open(proc_root: &Path, capacity: Capacity) -> Result<Self, ReadHostError> {
        let open = |name: &str| {
            let path = proc_root.join(name);
            KeptFile::open(&path).map_err(|source| ReadHostError::Read { path, source })
        };
        let pressure = |name: &str| KeptFile::open(&proc_root.join("pressure").join(name)).ok();
        Ok(Self {
            root: proc_root.to_owned(),
            cpu: capacity.cpu,
            stat: open("stat")?,
            meminfo: open("meminfo")?,
            loadavg: open("loadavg")?,
            pressure: ["cpu", "memory", "io"].map(pressure),
            last: None,
        })
    }

    /// What the host measures now; GPUs are left empty. CPU use is that since the last call.
    pub fn sample(&mut self) -> Result<Sample, ReadHostError> {
        let [cpu_pressure, memory_pressure, io_pressure] = self
            .pressure
            .each_mut()
            .map(|file| some_avg10(file.as_mut()?));
        Ok(Sample {
            cpu: self.cpu_in_use()?,
            memory: self.memory_in_use()?,
            cpu_pressure,
            memory_pressure,
            io_pressure,
            load_hundredths: self.load()?,
            gpus: Vec::new(),
        })
    }

    fn cpu_in_use(&mut self) -> Result<CpuMilli, ReadHostError> {
        let text = self.stat.read_beginning();
        let ticks = find(&self.root, "stat", "the line of all CPUs", text, ticks)?;
        let last = self.last.replace(ticks).unwrap_or(ticks);
        let total = u128::from(ticks.total.saturating_sub(last.total)).max(1);
        let busy = u128::from(ticks.busy.saturating_sub(last.busy));
        let milli = busy * u128::from(self.cpu.0) / total;
        Ok(CpuMilli(u64::try_from(milli).unwrap_or(u64::MAX)))
    }

    fn memory_in_use(&mut self) -> Result<Bytes, ReadHostError> {
        let text = self.meminfo.read();
        find(
            &self.root,
            "meminfo",
            "MemTotal and MemAvailable",
            text,
            |text| Some(kib(text, "MemTotal:")?.minus(kib(text, "MemAvailable:")?)),
        )
    }

    fn load(&mut self) -> Result<u32, ReadHostError> {
        let text = self.loadavg.read();
        find(
            &self.root,
            "loadavg",
            "the load of one minute",
            text,
            |text| hundredths(text.split_ascii_whitespace().next()?),
        )
    }
}

fn find<T>(
    root: &Path,
    name: &str,
    what: &'static str,
    text: io::Result<&str>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, ReadHostError> {
    let path = || root.join(name);
    match text {
        Ok(text) => parse(text).ok_or_else(|| ReadHostError::Missing { path: path(), what }),
        Err(source) => Err(ReadHostError::Read {
            path: path(),
            source,
        }),
    }
}

/// `cpu  user nice system idle iowait irq softirq steal …`; the guest's time is in `user` already.
fn ticks(text: &str) -> Option<Ticks> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?;
    let mut ticks = Ticks { busy: 0, total: 0 };
    for (place, field) in fields.split_ascii_whitespace().take(8).enumerate() {
        let value: u64 = field.parse().ok()?;
        ticks.total = ticks.total.saturating_add(value);
        if !matches!(place, 3 | 4) {
            ticks.busy = ticks.busy.saturating_add(value);
        }
    }
    (ticks.total > 0).then_some(ticks)
}

/// A line of `/proc/meminfo`: `MemTotal:  16303892 kB`.
fn kib(text: &str, key: &str) -> Option<Bytes> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    let number: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(number).times(1024))
}

/// `some avg10=1.23 …` in thousandths of a percent. A kernel may refuse to open or read it.
fn some_avg10(file: &mut KeptFile) -> Option<u32> {
    let text = file.read().ok()?;
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix("some avg10="))?;
    let value = rest.split_ascii_whitespace().next()?;
    hundredths(value)?.checked_mul(10)
}

/// A number with two decimals, as the kernel writes averages.
fn hundredths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.')?;
    let whole: u32 = whole.parse().ok()?;
    let fraction: u32 = fraction.parse().ok().filter(|f| *f < 100)?;
    whole.checked_mul(100)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n";

    fn root(stat: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("stat"), stat).unwrap();
        fs::write(root.path().join("meminfo"), MEMINFO).unwrap();
        fs::write(root.path().join("loadavg"), "1.25 0.00 0.00 1/2 3\n").unwrap();
        root
    }

    fn stat(user: u64, idle: u64) -> String {
        format!("cpu  {user} 0 0 {idle} 0 0 0 0 7 0\ncpu0 1 0\ncpu1 1 0\nintr 5\n")
    }

    #[test]
    fn the_host_is_read_from_its_root() {
        let root = root(&stat(100, 100));
        let capacity = capacity(root.path()).unwrap();
        assert_eq!(
            (capacity.cpu, capacity.memory),
            (CpuMilli(2000), Bytes(1000 << 10))
        );
        let mut reader = HostReader::open(root.path(), capacity).unwrap();
        let sample = reader.sample().unwrap();
        assert_eq!((sample.cpu, sample.memory), (CpuMilli(0), Bytes(600 << 10)));
        assert_eq!((sample.load_hundredths, sample.cpu_pressure), (125, None));
        fs::write(root.path().join("stat"), stat(130, 170)).unwrap();
        assert_eq!(reader.sample().unwrap().cpu, CpuMilli(600));
        assert_eq!(reader.sample().unwrap().cpu, CpuMilli(0), "nothing passed");
    }

    #[test]
    fn pressure_is_read_where_the_kernel_accounts_it() {
        let root = root(&stat(1, 1));
        fs::create_dir(root.path().join("pressure")).unwrap();
        let text = "some avg10=12.05 avg60=0.00 avg300=0.00 total=0\nfull avg10=9.00\n";
        fs::write(root.path().join("pressure/memory"), text).unwrap();
        let capacity = capacity(root.path()).unwrap();
        let mut reader = HostReader::open(root.path(), capacity).unwrap();
        let sample = reader.sample().unwrap();
        assert_eq!(
            (
                sample.cpu_pressure,
                sample.memory_pressure,
                sample.io_pressure
            ),
            (None, Some(12_050), None)
        );
    }

    #[test]
    fn a_file_that_does_not_say_what_it_should_is_named() {
        let root = root("intr 0\n");
        let error = capacity(root.path()).unwrap_err().to_string();
        assert!(error.contains("a line of one CPU in `"), "{error}");
        fs::remove_file(root.path().join("stat")).unwrap();
        let error = capacity(root.path()).unwrap_err().to_string();
        assert!(error.starts_with("failed to read `"), "{error}");
    }

    #[test]
    fn a_boot_id_comes_from_the_root_or_from_the_kernel() {
        let root = root("");
        let real = boot_id(root.path()).unwrap();
        assert_eq!(real, boot_id(Path::new("/proc")).unwrap());
        let directory = root.path().join("sys/kernel/random");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("boot_id"), "simulated\n").unwrap();
        assert_eq!(boot_id(root.path()).unwrap(), BootId("simulated".into()));
    }

    #[test]
    fn the_real_host_is_read() {
        let proc = Path::new("/proc");
        let capacity = capacity(proc).unwrap();
        let mut reader = HostReader::open(proc, capacity).unwrap();
        let sample = reader.sample().unwrap();
        assert!(sample.memory > Bytes::ZERO && sample.memory < capacity.memory);
    }

    #[test]
    fn a_file_longer_than_the_buffer_is_read_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("long");
        let text = "x".repeat(10_000);
        fs::write(&path, &text).unwrap();
        assert_eq!(KeptFile::open(&path).unwrap().read().unwrap(), text);
    }
}
