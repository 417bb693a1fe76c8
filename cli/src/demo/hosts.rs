//! The simulated hosts: what each has, and the files its agent is pointed at.

use super::process;
use crate::error::CliError;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// One host: its name and the GPUs in it.
pub(super) struct Host {
    pub(super) name: &'static str,
    model: &'static str,
    gpus: u32,
}

/// Two big training hosts, one of an older kind, two small ones for inference, one without GPUs.
pub(super) const HOSTS: [Host; 6] = [
    Host {
        name: "alder",
        model: "H100-80",
        gpus: 8,
    },
    Host {
        name: "birch",
        model: "H100-80",
        gpus: 8,
    },
    Host {
        name: "cedar",
        model: "A100-40",
        gpus: 4,
    },
    Host {
        name: "maple",
        model: "L4-24",
        gpus: 8,
    },
    Host {
        name: "rowan",
        model: "L4-24",
        gpus: 8,
    },
    Host {
        name: "willow",
        model: "",
        gpus: 0,
    },
];

/// Device minors of different hosts do not meet on this machine.
const MINORS_PER_HOST: usize = 16;

/// Makes a host's directory: libraries, capacity, device nodes. Returns its agent's configuration.
pub(super) fn make(index: usize, host: &Host, scene: &Scene<'_>) -> Result<PathBuf, CliError> {
    let dir = scene.dir.join(host.name);
    let file = scene.dir.join(format!("{}.host.toml", host.name));
    write(&file, &host_file(host))?;
    let first_minor = (index * MINORS_PER_HOST).to_string();
    let sim = dir.join("host");
    process::run(
        scene.gpusim,
        &[
            "create",
            "--file",
            text(&file)?,
            "--dir",
            text(&sim)?,
            "--first-minor",
            &first_minor,
        ],
    )?;
    let config = scene.dir.join(format!("{}.agent.toml", host.name));
    write(&config, &agent_file(host, &dir, &sim, scene))?;
    Ok(config)
}

/// What all hosts have in common.
pub(super) struct Scene<'a> {
    pub(super) dir: &'a Path,
    pub(super) socket: &'a Path,
    pub(super) gpusim: &'a Path,
    pub(super) cgroup_parent: &'a str,
    pub(super) root: bool,
}

fn host_file(host: &Host) -> String {
    let mut text = format!("name = \"{}\"\ncpus = 96\nmemory = \"1Ti\"\n", host.name);
    if host.gpus > 0 {
        text += &format!(
            "\n[[gpu]]\nmodel = \"{}\"\ncount = {}\n",
            host.model, host.gpus
        );
    }
    text
}

fn agent_file(host: &Host, dir: &Path, sim: &Path, scene: &Scene<'_>) -> String {
    let dir = dir.display();
    let sim = sim.display();
    // Device nodes can be made by root alone; without them there is no fence to show.
    let dev_root = if scene.root {
        format!("{sim}/dev")
    } else {
        "/dev".to_owned()
    };
    format!(
        "node = \"{name}\"\n\
         scheduler_socket = \"{socket}\"\n\
         state_dir = \"{dir}/state\"\n\
         run_dir = \"{dir}/run\"\n\
         nvml_library = \"{sim}/libnvidia-ml.so.1\"\n\
         proc_root = \"{sim}/proc\"\n\
         dev_root = \"{dev_root}\"\n\
         cgroup_parent = \"{parent}/{name}\"\n\
         unconfined = {unconfined}\n",
        name = host.name,
        socket = scene.socket.display(),
        parent = scene.cgroup_parent,
        unconfined = !scene.root,
    )
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let parent = path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| {
            CliError::failure(format!("failed to write `{}`: {error}", path.display()))
        })
}

pub(super) fn text(path: &Path) -> Result<&str, CliError> {
    path.to_str()
        .ok_or_else(|| CliError::usage(format!("`{}` is no UTF-8 path", path.display())))
}
