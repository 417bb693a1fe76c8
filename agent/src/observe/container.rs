//! Containers that other programs run on this host: found by their cgroups, never touched.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Most processes looked at: a host with more has other problems.
const PROCESSES_MAX: usize = 1 << 16;
/// How runtimes name a container's cgroup, before the 64 hexadecimal digits of its id.
const RUNTIMES: [(&str, &str); 6] = [
    ("docker-", "docker"),
    ("docker/", "docker"),
    ("libpod-", "podman"),
    ("cri-containerd-", "containerd"),
    ("cri-o-", "cri-o"),
    ("crio-", "cri-o"),
];
const ID_DIGITS: usize = 64;

/// A container of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Who runs it, by the name of its cgroup.
    pub runtime: &'static str,
    /// Its cgroup.
    pub cgroup: PathBuf,
    /// Its processes.
    pub processes: u32,
}

/// Containers by id, from the processes below this root of procfs.
pub fn containers(proc_root: &Path) -> io::Result<Vec<Container>> {
    let mut found: BTreeMap<String, Container> = BTreeMap::new();
    for entry in fs::read_dir(proc_root)?.take(PROCESSES_MAX) {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        // It may have ended meanwhile.
        let Ok(text) = fs::read_to_string(proc_root.join(&name).join("cgroup")) else {
            continue;
        };
        if let Some(container) = text.lines().find_map(container) {
            let known = found.entry(container.id.clone()).or_insert(container);
            known.processes += 1;
        }
    }
    Ok(found.into_values().collect())
}

/// A line of `/proc/PID/cgroup`: `0::/system.slice/docker-<id>.scope`.
fn container(line: &str) -> Option<Container> {
    let path = line.splitn(3, ':').nth(2)?;
    RUNTIMES.into_iter().find_map(|(prefix, runtime)| {
        let (before, rest) = path.split_once(prefix)?;
        let id = rest.get(..ID_DIGITS)?;
        let hexadecimal = id.bytes().all(|b| b.is_ascii_hexdigit());
        hexadecimal.then(|| Container {
            id: id.to_owned(),
            runtime,
            cgroup: PathBuf::from(format!("{before}{prefix}{id}")),
            processes: 0,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_of_every_runtime_are_found_by_their_processes() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = ("a".repeat(64), "0".repeat(64));
        for (pid, text) in [
            ("1", "0::/init.scope".to_owned()),
            (
                "20",
                format!("12:cpu:/docker/{one}\n1:name=systemd:/docker/{one}\n"),
            ),
            ("21", format!("0::/docker/{one}/nested\n")),
            (
                "22",
                format!("0::/machine.slice/libpod-{two}.scope/container\n"),
            ),
            ("23", "0::/docker-short.scope\n".to_owned()),
        ] {
            fs::create_dir(root.path().join(pid)).unwrap();
            fs::write(root.path().join(pid).join("cgroup"), text).unwrap();
        }
        fs::write(root.path().join("stat"), "").unwrap();
        let found = containers(root.path()).unwrap();
        let shown: Vec<(&str, u32, &str)> = found
            .iter()
            .map(|c| (c.runtime, c.processes, &c.id[..2]))
            .collect();
        assert_eq!(shown, [("podman", 1, "00"), ("docker", 2, "aa")]);
    }
}
