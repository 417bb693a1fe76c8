//! One life of the scheduler: take the place, recover, serve, stop.

use crate::{
    clock,
    config::{Config, ConfigError},
    drive::{AskError, Drive, DriveError, Handle, Parts, Solvers},
    grpc::{Api, Born},
    journal::{Reader, ReplayError, redb::RedbJournal},
    place::{self, DataDir, PlaceError},
    service,
    sessions::Sessions,
};
use dovetail_core::{
    effect::{Answer, Status},
    engine::Engine,
    input::{Caller, Request},
};
use dovetail_model::{
    id::{ClusterId, Tenant},
    workload::Owner,
};
use std::{fs, io, path::Path, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{
    net::UnixListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

/// How long stopping may take.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How often a disk that is full when the scheduler starts is looked at.
const FIRST_WORD_EVERY: Duration = Duration::from_secs(2);

/// Exit code: the command line or the configuration is wrong.
pub const EXIT_USAGE: u8 = 64;
/// Exit code: the disk, the journal or the socket failed.
pub const EXIT_IO: u8 = 74;
/// Exit code: another scheduler is here.
pub const EXIT_RUNNING: u8 = 75;

/// Why the scheduler does not run, or has ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its place is taken or cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The state cannot be recovered.
    #[error("failed to recover the state; nothing was changed, keep the data directory as it is")]
    Recover(#[source] ReplayError),
    /// It cannot go on.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A thread died: a defect.
    #[error("a thread of the scheduler died")]
    Died,
    /// The kernel refused something basic.
    #[error("failed to {0}")]
    System(&'static str, #[source] io::Error),
    /// The solver's process ended.
    #[error(transparent)]
    Solver(crate::solver::ServeError),
    /// The socket failed.
    #[error("failed to serve")]
    Serve(#[source] tonic::transport::Error),
}

impl RunError {
    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_USAGE,
            Self::Place(PlaceError::DataDirInUse { .. } | PlaceError::SocketInUse { .. }) => {
                EXIT_RUNNING
            }
            Self::Place(_)
            | Self::Recover(_)
            | Self::Drive(_)
            | Self::Died
            | Self::System(..)
            | Self::Solver(_)
            | Self::Serve(_) => EXIT_IO,
        }
    }
}

/// Runs until a signal, or until it cannot go on.
pub fn run(config: Config, solvers: Solvers) -> Result<(), RunError> {
    // Files are the scheduler's alone; the socket's mode is set apart.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::System("start the runtime", error))?;
    let result = runtime.block_on(serve(config, solvers));
    // Whatever still hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

async fn serve(config: Config, solvers: Solvers) -> Result<(), RunError> {
    let mut signals = Signals::listen()?;
    let dir = DataDir::take(&config.data_dir)?;
    let listener = place::listen(&config.socket, config.socket_mode)?;
    let listener = UnixListener::from_std(listener)
        .map_err(|error| RunError::System("listen on the socket", error))?;
    let sessions = Arc::new(Sessions::default());
    let (mut drive, reader) = recover(&config, &dir, Arc::clone(&sessions), solvers)?;
    let born = tokio::select! {
        born = first_word(&drive.handle) => born,
        () = signals.next() => None,
    };
    let Some(born) = born else {
        return end(drive).await;
    };
    let (handle, operators) = (drive.handle.clone(), config.operators);
    let api = Api::new(handle, Arc::clone(&sessions), reader, operators, born);
    let (stop_serving, stopped) = oneshot::channel::<()>();
    let mut server = tokio::spawn(api.serve(listener, async move {
        // Dropping the sender stops serving, too.
        stopped.await.ok();
    }));
    service::ready();
    tracing::info!(socket = %config.socket.display(), "serving");
    tokio::spawn(service::feed_watchdog(Arc::clone(&drive.progress)));
    tokio::select! {
        () = signals.next() => {}
        ended = &mut drive.ended => {
            return ended.map_err(|_| RunError::Died)?.map_err(RunError::Drive);
        }
        served = &mut server => {
            return served.map_err(|_| RunError::Died)?.map_err(RunError::Serve);
        }
    }
    service::stopping();
    tracing::info!("stopping");
    let begun = Instant::now();
    let ended = end(drive).await;
    sessions.close_all("the scheduler stops");
    drop(stop_serving);
    let rest = DRAIN_MAX.saturating_sub(begun.elapsed());
    if timeout(rest, server).await.is_err() {
        tracing::info!("some clients are still connected; they are cut off");
    }
    // Gone, so that clients are told at once that nobody is there.
    fs::remove_file(&config.socket).ok();
    ended
}

/// Makes durable what was taken, and ends the threads.
async fn end(drive: Drive) -> Result<(), RunError> {
    drive.handle.stop().await;
    match timeout(DRAIN_MAX, drive.ended).await {
        Ok(Ok(result)) => result.map_err(RunError::Drive),
        Ok(Err(_)) => Err(RunError::Died),
        Err(_) => {
            tracing::error!(
                "the disk did not finish in time; what it had not taken was not answered"
            );
            Ok(())
        }
    }
}

/// The signals that end the scheduler.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, RunError> {
        let listen =
            |kind| signal(kind).map_err(|error| RunError::System("listen to signals", error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Replays the journal and starts to drive.
fn recover(
    config: &Config,
    dir: &DataDir,
    sessions: Arc<Sessions>,
    solvers: Solvers,
) -> Result<(Drive, Arc<dyn Reader>), RunError> {
    let begun = Instant::now();
    let (journal, replayed) = RedbJournal::open(dir.path()).map_err(RunError::Recover)?;
    tracing::info!(
        revision = replayed.mark.sequence,
        records = replayed.records,
        workloads = replayed.state.workloads().len(),
        nodes = replayed.state.nodes().len(),
        elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        "recovered"
    );
    let reader: Arc<dyn Reader> = Arc::new(journal.reader());
    let data_dir = dir.path().to_owned();
    let drive = Drive::start(Parts {
        engine: Engine::new(replayed.state, config.policy),
        journal: Box::new(journal),
        fresh: fresh_cluster()?,
        sessions: Arc::clone(&sessions),
        solvers,
        free_space: Box::new(move || DataDir::free_bytes(&data_dir)),
        clock: clock::now,
    })?;
    Ok((drive, reader))
}

/// An identity nobody has.
fn fresh_cluster() -> Result<ClusterId, RunError> {
    let uuid = fs::read_to_string(Path::new("/proc/sys/kernel/random/uuid"))
        .map_err(|error| RunError::System("draw the cluster's identity", error))?;
    Ok(ClusterId(uuid.trim().into()))
}

/// Waits until this term is durable: only then is anybody served. Nothing: it cannot be made so.
async fn first_word(handle: &Handle) -> Option<Born> {
    let caller = Caller {
        tenant: Tenant::default(),
        owner: Owner {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
        },
        operator: true,
    };
    loop {
        match handle.ask(caller.clone(), Request::Status).await {
            Ok(Ok(Answer::Status(status))) => {
                let Status { cluster, term, .. } = *status;
                return Some(Born { cluster, term });
            }
            Err(AskError::Stopping) | Ok(_) => return None,
            Err(error) => {
                tracing::error!(%error, "the beginning of this term is not durable yet");
                sleep(FIRST_WORD_EVERY).await;
            }
        }
    }
}
