//! The NVIDIA management library simulated at its C ABI, and the host directories it reads.
//!
//! A simulated host is one directory: a copy of this crate's shared library, a mapped state file
//! that the library finds beside itself, a capacity view of `/proc`, and device nodes. The Rust
//! interface here makes such directories and changes their state while clients read it.
//!
//! Not simulated: `nvidia-smi`, which needs the driver's private export table, and MIG.

mod clock;
mod device_nodes;
mod ffi;
mod host;
mod host_file;
mod inventory;
mod library;
mod models;
mod proc_view;
mod process;
mod quantity;
mod setting;
mod state;

pub use device_nodes::{DeviceNodes, NVIDIA_MAJOR, UVM_MAJOR};
pub use host::{CreateHostError, CreateOptions, Gpu, Host, HostError};
pub use host_file::{GpuGroup, HostFile, HostFileError, MAX_GPUS};
pub use library::{BuildLibraryError, library, library_beside_executable};
pub use models::{Model, find_model, model_keys};
pub use process::{AddProcessError, Process, ProcessKind};
pub use quantity::{Bytes, ParseBytesError};
pub use setting::{ParseSettingError, Setting};
pub use state::{
    CreateStateError, EventRing, GpuRecord, OpenStateError, ProcessRecord, ProcessTable, Text,
    UpdateStateError,
};
