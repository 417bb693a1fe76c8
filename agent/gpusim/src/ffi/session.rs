//! The session between `nvmlInit` and `nvmlShutdown`: counted, and bound to the library's own directory.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::status::{Answer, Status};
use crate::host::STATE_FILE;
use crate::state::{OpenStateError, State};

struct Session {
    references: u32,
    state: Arc<State>,
}

static SESSION: RwLock<Option<Session>> = RwLock::new(None);

/// Opens the session, or counts one more user of it.
pub(super) fn open() -> Answer {
    let mut session = SESSION.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(session) = session.as_mut() {
        session.references += 1;
        return Ok(());
    }
    let directory = own_directory().ok_or(Status::Unknown)?;
    let state = State::open(&directory.join(STATE_FILE)).map_err(status_of)?;
    *session = Some(Session {
        references: 1,
        state: Arc::new(state),
    });
    Ok(())
}

/// Ends one use of the session.
pub(super) fn close() -> Answer {
    let mut guard = SESSION.write().unwrap_or_else(PoisonError::into_inner);
    let session = guard.as_mut().ok_or(Status::Uninitialized)?;
    session.references -= 1;
    if session.references == 0 {
        *guard = None;
    }
    Ok(())
}

/// The state of the host, while a session is open.
pub(super) fn state() -> Result<Arc<State>, Status> {
    let session = SESSION.read().unwrap_or_else(PoisonError::into_inner);
    session
        .as_ref()
        .map(|session| Arc::clone(&session.state))
        .ok_or(Status::Uninitialized)
}

fn status_of(error: OpenStateError) -> Status {
    match error {
        OpenStateError::Open { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Status::NoPermission
        }
        OpenStateError::Open { .. } => Status::DriverNotLoaded,
        OpenStateError::Layout { .. } => Status::Unknown,
    }
}

/// The directory this library was loaded from.
fn own_directory() -> Option<PathBuf> {
    static ANCHOR: u8 = 0;
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: the address is only looked up, and `found` is a valid place for the result.
    let status = unsafe { libc::dladdr((&raw const ANCHOR).cast(), &raw mut found) };
    if status == 0 || found.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's name of a loaded object, terminated and kept for as long as it is loaded.
    let name = unsafe { CStr::from_ptr(found.dli_fname) };
    Path::new(OsStr::from_bytes(name.to_bytes()))
        .parent()
        .map(Path::to_owned)
}
