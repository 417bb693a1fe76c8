//! Start, end, and what NVML says about the system as a whole.

use std::ffi::c_char;

use super::export;
use super::pointer::{Out, TextOut};
use super::session;
use super::status::{Answer, Status, error_text};

/// `NVML_INIT_FLAG_NO_GPUS | NVML_INIT_FLAG_NO_ATTACH`
const INIT_FLAGS: u32 = 0b11;
/// Longest command that is shown; no client has a larger buffer.
const MAX_COMMAND_BYTES: usize = 1_024;

fn cuda_version(place: Out<i32>) -> Answer {
    place.check()?;
    let version = session::state()?.host().cuda_version;
    place.set(i32::try_from(version).map_err(|_| Status::Unknown)?)
}

/// The command of a process, as NVML shows it.
fn process_name(pid: u32) -> Result<String, Status> {
    session::state()?;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).map_err(|_| Status::NotFound)?;
    let first = command.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(&first[..first.len().min(MAX_COMMAND_BYTES)]).into_owned())
}

export! {
    fn nvmlInit() { session::open() }
    fn nvmlInit_v2() { session::open() }

    fn nvmlInitWithFlags(flags: u32) {
        if flags & !INIT_FLAGS != 0 {
            return Err(Status::InvalidArgument);
        }
        session::open()
    }

    fn nvmlShutdown() { session::close() }

    fn nvmlSystemGetDriverVersion(text: TextOut, room: u32) {
        text.set(room, &session::state()?.host().driver_version.to_string())
    }

    fn nvmlSystemGetNVMLVersion(text: TextOut, room: u32) {
        let state = session::state()?;
        text.set(room, &format!("13.{}", state.host().driver_version))
    }

    fn nvmlSystemGetCudaDriverVersion(place: Out<i32>) { cuda_version(place) }
    fn nvmlSystemGetCudaDriverVersion_v2(place: Out<i32>) { cuda_version(place) }

    fn nvmlSystemGetProcessName(pid: u32, text: TextOut, room: u32) {
        text.set(room, &process_name(pid)?)
    }

    fn nvmlUnitGetCount(place: Out<u32>) {
        session::state()?;
        place.set(0)
    }
}

/// The text of a status code; the one function that returns no status and needs no session.
// SAFETY: the name is NVML's, and this library is loaded in its place.
#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(code: u32) -> *const c_char {
    error_text(code).as_ptr()
}
