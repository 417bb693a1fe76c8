//! Which limits hold on this host, found by trying each on a leaf that is removed again.

use super::{
    OpenError, SUPERVISORS,
    directory::CgroupError,
    fence::Fence,
    tree::{Layout, Limit, Tree, TreePlace, kill_all, remove_all},
};
use crate::telemetry::chain;
use dovetail_model::{
    resources::Level,
    units::{Bytes, CpuMilli},
};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Beginning of the names of leaves that are only tried.
pub(super) const PROBE_PREFIX: &str = "probe-";
/// How long a leaf may take to be empty.
const PATIENCE: Duration = Duration::from_secs(2);
const FIX: &str = "run the agent as root, or give it a delegated cgroup (Delegate=yes)";

/// What holds here and what does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The strongest level of a slice without a GPU.
    pub level: Level,
    /// Limits that hold.
    pub enforces: Vec<String>,
    /// Limits that do not, each with the reason.
    pub not_enforced: Vec<String>,
}

/// What the probe found.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) capabilities: Capabilities,
    pub(super) cpu: bool,
    pub(super) memory: bool,
    pub(super) pids: bool,
    pub(super) devices: bool,
    /// Leaves can carry descriptors.
    pub(super) attributes: bool,
}

impl Probed {
    fn nothing(reason: &str) -> Self {
        let names = ["cpu", "memory", "pids", "devices", "kill"];
        let not_enforced = names
            .iter()
            .map(|name| format!("{name}: {reason}"))
            .collect();
        Self {
            capabilities: Capabilities {
                level: Level::None,
                enforces: Vec::new(),
                not_enforced,
            },
            cpu: false,
            memory: false,
            pids: false,
            devices: false,
            attributes: false,
        }
    }
}

/// Makes the parent, and tries. Without permission there is no tree, and the reasons say so.
pub(super) fn probe(
    place: &TreePlace,
    dev_root: &Path,
) -> Result<(Option<Box<dyn Tree>>, Probed), OpenError> {
    let tree = match place.create().and_then(with_supervisors) {
        Ok(Some(tree)) => tree,
        Ok(None) => return Ok((None, Probed::nothing("no cgroups are mounted"))),
        Err(error) if is_refusal(&error) => {
            return Ok((None, Probed::nothing(&format!("{}; {FIX}", chain(&error)))));
        }
        Err(error) => return Err(error.into()),
    };
    let leaf = format!("{PROBE_PREFIX}{}", std::process::id());
    let tried = try_leaf(tree.as_ref(), &leaf, dev_root);
    if !remove_all(tree.as_ref(), &leaf, PATIENCE)? {
        tracing::warn!(%leaf, "trial cgroup is still busy and stays until the next start");
    }
    let (usable, mut probed) = tried?;
    if let Err(error) = usable {
        return Ok((None, Probed::nothing(&format!("{}; {FIX}", chain(&error)))));
    }
    probed.capabilities.level = level(&probed, dev_root);
    if place.layout == Layout::V2 && !rustix::process::geteuid().is_root() {
        probed.capabilities.not_enforced.push(
            "containment: slices run as the agent's own user, who may move them between cgroups"
                .to_owned(),
        );
    }
    Ok((Some(tree), probed))
}

fn with_supervisors(tree: Option<Box<dyn Tree>>) -> Result<Option<Box<dyn Tree>>, CgroupError> {
    if let Some(tree) = &tree {
        tree.make(SUPERVISORS)?;
    }
    Ok(tree)
}

/// A slice is held if its limits are, and if no GPU is open to everybody.
fn level(probed: &Probed, dev_root: &Path) -> Level {
    let limits = probed.cpu && probed.memory && probed.pids;
    if limits && (probed.devices || !has_gpu_nodes(dev_root)) {
        Level::Shared
    } else {
        Level::None
    }
}

fn has_gpu_nodes(dev_root: &Path) -> bool {
    let names = fs::read_dir(dev_root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.file_name());
    names.into_iter().any(|name| {
        name.to_string_lossy()
            .strip_prefix("nvidia")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// Tries everything on one leaf; the first answer says whether leaves are of any use.
fn try_leaf(
    tree: &dyn Tree,
    leaf: &str,
    dev_root: &Path,
) -> Result<(Result<(), CgroupError>, Probed), CgroupError> {
    let mut probed = Probed::nothing("");
    probed.capabilities.not_enforced.clear();
    if let Err(error) = tree.make(leaf) {
        return Ok((Err(error), probed));
    }
    let cpu = Limit::Cpu {
        request: CpuMilli(100),
        limit: CpuMilli(100),
    };
    let notes = &mut probed.capabilities;
    probed.cpu = note(notes, "cpu", tree.limit(leaf, cpu));
    probed.memory = note(
        notes,
        "memory",
        tree.limit(leaf, Limit::Memory(Bytes(64 << 20))),
    );
    probed.pids = note(notes, "pids", tree.limit(leaf, Limit::Pids(64)));
    let fence = Fence::of(&[], dev_root).unwrap_or_default();
    probed.devices = note(notes, "devices", tree.fence(leaf, &fence));
    probed.attributes = carries_attributes(tree, leaf)?;
    let held = hold_a_process(tree, leaf);
    note(
        notes,
        "kill",
        held.as_ref().map_err(|error| chain(error)).map(drop),
    );
    Ok((held, probed))
}

fn note<E: Reason>(notes: &mut Capabilities, name: &str, tried: Result<(), E>) -> bool {
    let holds = tried.is_ok();
    match tried {
        Ok(()) => notes.enforces.push(name.to_owned()),
        Err(error) => notes
            .not_enforced
            .push(format!("{name}: {}", error.reason())),
    }
    holds
}

/// Something that says why.
trait Reason {
    fn reason(&self) -> String;
}

impl Reason for CgroupError {
    fn reason(&self) -> String {
        let fix = if self.is_absent() {
            "the controller is not available here; switch it on in the parent's \
             cgroup.subtree_control, or mount it"
        } else {
            FIX
        };
        format!("{}; {fix}", chain(self))
    }
}

impl Reason for String {
    fn reason(&self) -> String {
        self.clone()
    }
}

fn carries_attributes(tree: &dyn Tree, leaf: &str) -> Result<bool, CgroupError> {
    const NAME: &str = "user.dovetail.probe";
    let Some(directory) = tree.described(leaf)? else {
        return Ok(false);
    };
    Ok(directory.set_attribute(NAME, b"x").is_ok() && directory.attribute(NAME)?.is_some())
}

/// Moves a process into the leaf, and kills the leaf.
fn hold_a_process(tree: &dyn Tree, leaf: &str) -> Result<(), CgroupError> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "read line"]).stdin(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        tracing::debug!("no shell to try a cgroup with");
        return Ok(());
    };
    let held = enter_and_die(tree, leaf, &child);
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::warn!(%error, "trial process not reaped");
    }
    held
}

fn enter_and_die(tree: &dyn Tree, leaf: &str, child: &Child) -> Result<(), CgroupError> {
    let pid = child.id().to_string();
    for entrance in tree.entrances(leaf) {
        fs::write(&entrance, &pid).map_err(|source| CgroupError::Write {
            value: pid.clone(),
            path: entrance,
            source,
        })?;
    }
    tree.freeze(leaf, true)?;
    tree.freeze(leaf, false)?;
    kill_all(tree, leaf, PATIENCE).map(drop)
}

fn is_refusal(error: &CgroupError) -> bool {
    matches!(
        error.errno(),
        Some(libc::EACCES | libc::EPERM | libc::EROFS)
    )
}
