//! Log lines: to stderr, for people or for collectors, at the level that `RUST_LOG` says.

use crate::config::LogFormat;
use std::io;
use tracing_subscriber::EnvFilter;

/// The level without `RUST_LOG`.
const DEFAULT_LEVEL: &str = "info";

/// Sets up logging for the process, once.
pub fn init(format: LogFormat) {
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LEVEL));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => lines
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .init(),
        LogFormat::Json => lines.json().init(),
    }
}
