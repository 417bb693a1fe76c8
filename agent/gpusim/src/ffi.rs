//! The exported functions of NVML, one file for each of its areas.
//!
//! A body is safe Rust that returns `Result<(), Status>`. Pointers of the caller are wrapped in the
//! types of `pointer`, which hold all the unsafe code of this folder but the exports themselves.
#![allow(unsafe_code, reason = "a C ABI is exported")]
#![allow(non_snake_case, reason = "the exported names are NVML's own")]

mod abi;
mod clocks;
mod device;
mod event;
mod health;
mod identity;
mod init;
mod memory;
mod pointer;
mod power;
mod process;
mod session;
mod status;
mod stubs;
mod topology;
mod utilization;

use status::{Answer, Status};

/// Exports functions whose bodies answer with `Answer`. No panic crosses the ABI.
macro_rules! export {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        // SAFETY: the name is NVML's, and this library is loaded in its place.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $kind),*) -> $crate::ffi::status::Status {
            $crate::ffi::answer(move || $body)
        }
    )*};
}
use export;

fn answer(body: impl FnOnce() -> Answer) -> Status {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(())) => Status::Success,
        Ok(Err(status)) => status,
        Err(_) => Status::Unknown,
    }
}
