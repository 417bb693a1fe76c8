//! Feeds the agent and carries out its effects: the only place where its parts meet.

mod cycle;
mod disk;
mod effects;
mod lock;
mod notify;
mod observe_only;
mod open;
mod retention;
mod worker;

use crate::{
    config::Config,
    enforce::{OpenError, ScanError},
    observe::host::ReadHostError,
    spool::OpenSpoolError,
};
pub use lock::LockError;
pub use observe_only::observe_only;
use std::io;
use thiserror::Error;
use tracing::info;

const EX_IOERR: u8 = 74;
const EX_TEMPFAIL: u8 = 75;

/// Why the agent ended by itself.
#[derive(Debug, Error)]
pub enum RunError {
    /// Another agent is running, or the state directory cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no spool.
    #[error(transparent)]
    Spool(#[from] OpenSpoolError),
    /// The host cannot be read.
    #[error(transparent)]
    Host(#[from] ReadHostError),
    /// Slices cannot be made on this host at all.
    #[error(transparent)]
    Enforce(#[from] OpenError),
    /// What exists on the host cannot be found out.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A thread, a signal handler or the event loop could not be set up.
    #[error("failed to set up {what}")]
    SetUp {
        /// What it was.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One of the agent's threads ended.
    #[error("the thread `{0}` ended unexpectedly; the log says why")]
    ThreadEnded(&'static str),
}

impl RunError {
    /// As in `sysexits.h`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Lock(LockError::Held { .. }) => EX_TEMPFAIL,
            Self::Lock(LockError::Unusable { .. })
            | Self::Spool(_)
            | Self::Host(_)
            | Self::Enforce(_)
            | Self::Scan(_)
            | Self::SetUp { .. }
            | Self::ThreadEnded(_) => EX_IOERR,
        }
    }
}

fn set_up(what: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::SetUp { what, source }
}

/// Runs the agent until it is told to stop. Workloads are left alone.
pub fn run(config: Config) -> Result<(), RunError> {
    let lock = lock::Lock::take(&config.state_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(set_up("the event loop"))?;
    let result = runtime.block_on(async { open::open(config)?.run().await });
    info!("the agent has stopped; workloads run on");
    drop(lock);
    result
}
