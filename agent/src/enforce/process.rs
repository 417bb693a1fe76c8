//! Processes by pid and start time, so that a pid used again is never taken for the old process.

use rustix::{
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, io};

/// A process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}

impl Process {
    /// The calling process.
    pub fn current() -> io::Result<Self> {
        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        Self::of(pid)?.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
    }

    /// The process that has this pid now, if there is one.
    pub fn of(pid: i32) -> io::Result<Option<Self>> {
        Ok(stat(pid)?.map(|stat| Self {
            pid,
            start_time: stat.starttime,
        }))
    }

    /// Becomes readable when the process ends; nothing if it has ended.
    pub fn watch(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(None);
        };
        let fd = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            fd => fd?,
        };
        // The descriptor holds whoever has the pid now: only then is the start time proof.
        Ok((Self::of(self.pid)? == Some(*self)).then_some(fd))
    }

    /// Sends a signal; false if the process has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(fd) = self.watch()? else {
            return Ok(false);
        };
        match pidfd_send_signal(fd, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// This boot of the kernel.
pub fn boot_id() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned())
}

/// What a kernel without cgroups knows of a family of processes.
#[derive(Debug, Default)]
pub(crate) struct Family {
    members: BTreeMap<i32, procfs::process::Stat>,
}

impl Family {
    /// All living descendants of a process. Ones that lost their parent are among them, since a
    /// supervisor is the reaper of its family.
    pub(crate) fn below(ancestor: i32) -> io::Result<Self> {
        Self::of(ancestor, |_| false)
    }

    /// All living processes of a session, and their descendants.
    pub(crate) fn of_session(session: i32) -> io::Result<Self> {
        Self::of(session, |stat| stat.session == session)
    }

    fn of(ancestor: i32, counts: impl Fn(&procfs::process::Stat) -> bool) -> io::Result<Self> {
        let all = all_processes()?;
        let mut members = BTreeMap::new();
        for (pid, stat) in &all {
            let is_member = counts(stat) || ancestors(&all, *pid).any(|parent| parent == ancestor);
            if *pid != ancestor && is_member && stat.state != 'Z' {
                members.insert(*pid, stat.clone());
            }
        }
        if let Some(leader) = all
            .get(&ancestor)
            .filter(|stat| counts(stat) && stat.state != 'Z')
        {
            members.insert(ancestor, leader.clone());
        }
        Ok(Self { members })
    }

    /// Whether nobody is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Signals each member; one that has just ended is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        for (pid, stat) in &self.members {
            let same = Process {
                pid: *pid,
                start_time: stat.starttime,
            };
            if let Err(error) = same.signal(signal) {
                tracing::debug!(pid, %error, "process not signalled");
            }
        }
    }

    /// CPU time of the living members and of those they have reaped, and memory in use.
    pub(crate) fn usage(&self) -> (u64, u64) {
        let ticks = |stat: &procfs::process::Stat| {
            let reaped = u64::try_from(stat.cutime.max(0) + stat.cstime.max(0)).unwrap_or(0);
            stat.utime + stat.stime + reaped
        };
        let total: u64 = self.members.values().map(ticks).sum();
        let pages: u64 = self.members.values().map(|stat| stat.rss).sum();
        (
            ticks_to_ns(total),
            pages.saturating_mul(procfs::page_size()),
        )
    }
}

/// CPU time of the children that a process has reaped.
pub(crate) fn reaped_cpu_ns(pid: i32) -> io::Result<u64> {
    let reaped = stat(pid)?.map_or(0, |stat| stat.cutime.max(0) + stat.cstime.max(0));
    Ok(ticks_to_ns(u64::try_from(reaped).unwrap_or(0)))
}

fn ticks_to_ns(ticks: u64) -> u64 {
    ticks.saturating_mul(1_000_000_000 / procfs::ticks_per_second().max(1))
}

/// Parents up to the first process; bounded, since the snapshot may be torn.
fn ancestors(
    all: &BTreeMap<i32, procfs::process::Stat>,
    pid: i32,
) -> impl Iterator<Item = i32> + use<'_> {
    let parent = |pid: &i32| all.get(pid).map(|stat| stat.ppid);
    std::iter::successors(parent(&pid), parent).take(ANCESTORS_MAX)
}

/// Deepest ancestry followed.
const ANCESTORS_MAX: usize = 4096;

fn all_processes() -> io::Result<BTreeMap<i32, procfs::process::Stat>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some(stat) = stat(pid)? {
            all.insert(pid, stat);
        }
    }
    Ok(all)
}

fn stat(pid: i32) -> io::Result<Option<procfs::process::Stat>> {
    let read = procfs::process::Process::new(pid).and_then(|process| process.stat());
    match read {
        Ok(stat) => Ok(Some(stat)),
        Err(procfs::ProcError::NotFound(_)) => Ok(None),
        Err(procfs::ProcError::Io(error, _)) if error.raw_os_error() == Some(libc::ESRCH) => {
            Ok(None)
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_pid_with_another_start_time_is_another_process() {
        let own = Process::current().unwrap();
        assert!(own.watch().unwrap().is_some());
        let older = Process {
            start_time: own.start_time + 1,
            ..own
        };
        assert!(older.watch().unwrap().is_none());
        assert!(!older.signal(Signal::KILL).unwrap());
    }

    #[test]
    fn an_ended_process_has_no_watch() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id().cast_signed()).unwrap().unwrap();
        assert!(process.signal(Signal::KILL).unwrap());
        child.wait().unwrap();
        assert!(process.watch().unwrap().is_none());
    }

    #[test]
    fn a_family_is_everyone_below() {
        let mut child = Command::new("/bin/sh")
            .args(["-c", "sleep 60; :"])
            .spawn()
            .unwrap();
        let own = Process::current().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
        let family = Family::below(own.pid).unwrap();
        let shell = child.id().cast_signed();
        let grandchild = family.members.values().any(|stat| stat.ppid == shell);
        assert!(family.members.contains_key(&shell) && grandchild);
        Family::below(shell).unwrap().signal(Signal::KILL);
        child.wait().unwrap();
    }
}
