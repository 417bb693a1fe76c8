//! GPUs, asked for on a thread of their own so that a driver that hangs delays nothing else.
//!
//! The thread cannot be killed: a call that never returns keeps it, its GPU is declared
//! unresponsive, and the others keep their health but have no measurements until it returns.

use super::{
    nvml::{enumerate, external, load, measure},
    process::ProcessOwner,
};
use dovetail_model::{
    gpu::{GpuHealth, GpuModel},
    id::GpuUuid,
    node::GpuSample,
    units::Bytes,
};
use nvml_wrapper::Nvml;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tracing::{debug, info, warn};

/// A GPU whose driver does not answer for this long is unresponsive.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// Between two attempts to load the library, and between two looks for new GPUs.
const PROBE: Duration = Duration::from_secs(60);
/// Between two looks at processes: on a busy GPU one takes milliseconds under the driver's lock.
const PROCESSES: Duration = Duration::from_secs(10);

/// What a GPU is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFacts {
    /// The driver's identity.
    pub uuid: GpuUuid,
    /// The driver's index.
    pub index: u32,
    /// The driver's name.
    pub name: String,
    /// Short model.
    pub model: GpuModel,
    /// Memory that may be given to slices.
    pub memory: Bytes,
    /// Minor of its device node, if it has one.
    pub minor: Option<u32>,
    /// PCI address.
    pub pci_bus_id: String,
}

impl GpuFacts {
    /// Its device node below this root.
    pub fn device_node(&self, dev_root: &Path) -> Option<PathBuf> {
        self.minor
            .map(|minor| dev_root.join(format!("nvidia{minor}")))
    }
}

/// A GPU and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuReading {
    /// What it is.
    pub facts: GpuFacts,
    /// Whether it can be used.
    pub health: GpuHealth,
    /// What it measures.
    pub sample: GpuSample,
}

/// What the thread is at: for which GPU, or for the library as a whole, and since when.
type Busy = Option<(Option<u32>, Instant)>;

/// The thread's other end.
#[derive(Debug)]
pub struct GpuMonitor {
    ask: SyncSender<()>,
    answers: Receiver<Vec<GpuReading>>,
    busy: Arc<Mutex<Busy>>,
    last: Vec<GpuReading>,
    answered: Instant,
    deadline: Duration,
}

impl GpuMonitor {
    /// Starts the thread. Nothing is asked yet.
    pub fn start(library: PathBuf, owner: ProcessOwner, deadline: Duration) -> io::Result<Self> {
        let (ask, asked) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        let busy = Arc::new(Mutex::new(None));
        let probe = Probe {
            library,
            owner,
            busy: Arc::clone(&busy),
            nvml: None,
            tried: None,
            explained: false,
            gpus: BTreeMap::new(),
            processes_at: None,
        };
        thread::Builder::new()
            .name("nvml".to_owned())
            .spawn(move || probe.run(&asked, &answer))?;
        Ok(Self {
            ask,
            answers,
            busy,
            last: Vec::new(),
            answered: Instant::now(),
            deadline,
        })
    }

    /// Asks for a reading, unless one is under way.
    pub fn ask(&self) {
        // Full: the last question is not answered yet.
        if self.ask.try_send(()).is_err() {
            debug!("the last reading of the GPUs is not done");
        }
    }

    /// The newest readings, without waiting.
    pub fn poll(&mut self) -> &[GpuReading] {
        match self.answers.try_recv() {
            Ok(readings) => self.take(readings),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => self.doubt(),
        }
        &self.last
    }

    /// Asks, and waits for the answer up to the deadline.
    pub fn wait(&mut self) -> &[GpuReading] {
        self.ask();
        match self.answers.recv_timeout(self.deadline) {
            Ok(readings) => self.take(readings),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => self.doubt(),
        }
        &self.last
    }

    fn take(&mut self, readings: Vec<GpuReading>) {
        self.last = readings;
        self.answered = Instant::now();
    }

    /// Old measurements are none, and what does not answer cannot be used.
    fn doubt(&mut self) {
        if self.answered.elapsed() > self.deadline {
            for reading in &mut self.last {
                reading.sample = GpuSample::default();
            }
        }
        let busy = *self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((index, _)) = busy.filter(|(_, since)| since.elapsed() > self.deadline) else {
            return;
        };
        for reading in &mut self.last {
            if index.is_none_or(|index| index == reading.facts.index) {
                reading.health = GpuHealth::Unresponsive;
            }
        }
    }
}

/// What the thread owns.
struct Probe {
    library: PathBuf,
    owner: ProcessOwner,
    busy: Arc<Mutex<Busy>>,
    nvml: Option<Nvml>,
    /// When the library was last loaded, or the GPUs last listed.
    tried: Option<Instant>,
    explained: bool,
    /// Every GPU ever seen: one that disappears is lost, not forgotten.
    gpus: BTreeMap<GpuUuid, GpuReading>,
    processes_at: Option<Instant>,
}

impl Probe {
    fn run(mut self, asked: &Receiver<()>, answer: &SyncSender<Vec<GpuReading>>) {
        while asked.recv().is_ok() {
            self.begin(None);
            self.list();
            self.measure();
            self.end();
            let mut readings: Vec<GpuReading> = self.gpus.values().cloned().collect();
            readings.sort_by_key(|reading| reading.facts.index);
            if answer.send(readings).is_err() {
                return;
            }
        }
    }

    fn begin(&self, index: Option<u32>) {
        let busy = Some((index, Instant::now()));
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = busy;
    }

    fn end(&self) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Loads the library if need be, and looks for GPUs that came or went.
    fn list(&mut self) {
        if self.tried.is_some_and(|at| at.elapsed() < PROBE) {
            return;
        }
        self.tried = Some(Instant::now());
        if self.nvml.is_none() {
            self.load();
        }
        let Some(nvml) = &self.nvml else {
            return;
        };
        match enumerate(nvml) {
            Ok(found) => self.found(found),
            Err(error) => {
                warn!(%error, "the driver does not list its GPUs; trying again");
                self.nvml = None;
                for reading in self.gpus.values_mut() {
                    reading.health = GpuHealth::Unresponsive;
                    reading.sample = GpuSample::default();
                }
            }
        }
    }

    fn load(&mut self) {
        let library = self.library.display();
        match load(&self.library) {
            Ok(nvml) => {
                let driver = nvml.sys_driver_version().unwrap_or_default();
                info!(%library, driver, "management library loaded");
                self.nvml = Some(nvml);
            }
            Err(error) if self.explained => debug!(%library, %error, "still no GPUs"),
            Err(error) => {
                info!(%library, %error, "no management library: this is a node without GPUs");
                self.explained = true;
            }
        }
    }

    fn found(&mut self, found: Vec<GpuFacts>) {
        for facts in found {
            let uuid = facts.uuid.clone();
            match self.gpus.get_mut(&uuid) {
                Some(reading) => reading.facts = facts,
                None => {
                    let (health, sample) = (GpuHealth::Ok, GpuSample::default());
                    let reading = GpuReading {
                        facts,
                        health,
                        sample,
                    };
                    self.gpus.insert(uuid, reading);
                }
            }
        }
    }

    fn measure(&mut self) {
        let Some(nvml) = &self.nvml else {
            return;
        };
        let due = self.processes_at.is_none_or(|at| at.elapsed() >= PROCESSES);
        if due {
            self.processes_at = Some(Instant::now());
        }
        let mut gpus = std::mem::take(&mut self.gpus);
        for reading in gpus.values_mut() {
            let index = reading.facts.index;
            self.begin(Some(index));
            let known = reading.sample.external;
            (reading.health, reading.sample) = measure(nvml, index);
            reading.sample.external = known;
            if due && reading.health == GpuHealth::Ok {
                reading.sample.external = external(nvml, index, &self.owner).unwrap_or(known);
            }
        }
        self.gpus = gpus;
    }
}
