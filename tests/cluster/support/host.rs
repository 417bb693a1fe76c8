//! A simulated host and its agent.

use super::{Daemon, command::run, is_root, programs::program};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Device minors of different hosts do not meet.
const MINORS_PER_HOST: usize = 16;

/// A host: its files, and its agent as a process.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) agent: Daemon,
    simulated: PathBuf,
    config: PathBuf,
    first_minor: usize,
}

/// What a host shall be.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) model: &'static str,
    pub(crate) gpus: usize,
    /// Its driver's library, if it is another than the simulated one.
    pub(crate) nvml_library: Option<String>,
    /// More of its agent's configuration.
    pub(crate) settings: String,
}

/// Where a host's files and cgroups go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) socket: &'a Path,
    pub(crate) cgroup_parent: &'a str,
}

impl Host {
    pub(crate) fn start(index: usize, plan: &Plan, site: Site<'_>) -> Self {
        let first_minor = index * MINORS_PER_HOST;
        let simulated = site.dir.join(&plan.name).join("host");
        simulate(plan, &simulated, first_minor);
        let config = site.dir.join(format!("{}.toml", plan.name));
        fs::write(&config, agent_file(plan, &simulated, site)).expect("the directory is ours");
        Self {
            name: plan.name.clone(),
            agent: Daemon::start("dovetail-agent", &config),
            simulated,
            config,
            first_minor,
        }
    }

    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// The device node of a GPU.
    pub(crate) fn device(&self, gpu: u32) -> PathBuf {
        let minor = self.first_minor + usize::try_from(gpu).expect("an index is small");
        self.simulated.join("dev").join(format!("nvidia{minor}"))
    }

    /// Changes what a GPU reports, as `lost=true`.
    pub(crate) fn set(&self, gpu: u32, setting: &str) {
        let mut command = Command::new(program("dovetail-gpusim"));
        command.arg("set").arg("--dir").arg(&self.simulated);
        command.arg("--gpu").arg(gpu.to_string()).arg(setting);
        run(&mut command, "").expect(0);
    }
}

fn simulate(plan: &Plan, directory: &Path, first_minor: usize) {
    let mut text = format!("name = '{}'\ncpus = 96\nmemory = '1Ti'\n", plan.name);
    if plan.gpus > 0 {
        let (model, gpus) = (plan.model, plan.gpus);
        write!(text, "[[gpu]]\nmodel = '{model}'\ncount = {gpus}\n").expect("strings take all");
    }
    let parent = directory.parent().expect("it was joined");
    let file = parent.join("host.toml");
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(&file, text))
        .expect("the directory is ours");
    let mut command = Command::new(program("dovetail-gpusim"));
    command.arg("create").arg("--file").arg(&file);
    command.arg("--dir").arg(directory);
    command.arg("--first-minor").arg(first_minor.to_string());
    run(&mut command, "").expect(0);
}

fn agent_file(plan: &Plan, simulated: &Path, site: Site<'_>) -> String {
    let name = &plan.name;
    let dir = site.dir.join(name);
    let (dir, host) = (dir.display(), simulated.display());
    let library = match &plan.nvml_library {
        Some(library) => library.clone(),
        None => format!("{host}/libnvidia-ml.so.1"),
    };
    // Only root can make device nodes: without them there is no fence.
    let devices = if is_root() {
        format!("{host}/dev")
    } else {
        "/dev".to_owned()
    };
    format!(
        "node = '{name}'\n\
         scheduler_socket = '{socket}'\n\
         state_dir = '{dir}/state'\n\
         run_dir = '{dir}/run'\n\
         nvml_library = '{library}'\n\
         proc_root = '{host}/proc'\n\
         dev_root = '{devices}'\n\
         cgroup_parent = '{parent}/{name}'\n\
         unconfined = {unconfined}\n{settings}",
        socket = site.socket.display(),
        parent = site.cgroup_parent,
        unconfined = !is_root(),
        settings = plan.settings,
    )
}
