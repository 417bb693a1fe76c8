//! The node agent: it observes a host, keeps what the scheduler granted, and enforces it.
//!
//! `observe` -> `agent` (pure) -> `enforce`; `drive` moves data between them and the scheduler.

pub mod agent;
pub mod clock;
pub mod config;
pub mod drive;
pub mod enforce;
pub mod link;
pub mod observe;
pub mod spool;
pub mod supervise;
pub mod telemetry;
