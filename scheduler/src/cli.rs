//! The command line of the daemon.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Packs workloads onto hosts and GPUs. One per cluster; people use `dovetail`.
#[derive(Debug, Parser)]
#[command(name = "dovetail-scheduler", version, subcommand_negates_reqs = true)]
pub struct Args {
    /// Configuration file [default: /etc/dovetail/scheduler.toml, if it exists].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Check the configuration and exit: 0 if it is right, 64 if not, saying every problem.
    #[arg(long, conflicts_with = "print_config")]
    pub check_config: bool,

    /// Print the configuration in force, defaults included, and exit.
    #[arg(long)]
    pub print_config: bool,

    /// What to be instead of the scheduler.
    #[command(subcommand)]
    pub role: Option<Role>,
}

/// Other roles of this program.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// The solver's process: problems on standard input, outcomes on standard output.
    #[command(hide = true)]
    Solver {
        /// Address space the process may use.
        #[arg(long)]
        memory_bytes: u64,
    },
}
