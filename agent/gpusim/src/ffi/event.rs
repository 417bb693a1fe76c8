//! Event sets: which GPUs a client watches, and what it has not seen yet.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::abi::{EventData, NO_INSTANCE};
use super::device::Device;
use super::export;
use super::pointer::Out;
use super::session;
use super::status::{Answer, Status};
use crate::state::{EVENTS, GpuRecord};

/// Corrected ECC error, uncorrected ECC error, Xid.
const SUPPORTED: u64 = 0b1011;
/// How often a waiting client looks at the state: far below any timeout that a client uses.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// `nvmlEventSet_t`: a number that is never followed.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
struct EventSet(*mut c_void);

/// One GPU in an event set.
#[derive(Debug, Clone, Copy)]
struct Watch {
    gpu: usize,
    kinds: u64,
    /// Events before this number were delivered, or came before the registration.
    seen: u64,
}

static SETS: Mutex<BTreeMap<usize, Vec<Watch>>> = Mutex::new(BTreeMap::new());
static NEXT_SET: AtomicUsize = AtomicUsize::new(1);

fn sets() -> MutexGuard<'static, BTreeMap<usize, Vec<Watch>>> {
    SETS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next unseen event of the watched kinds.
fn next_event(watch: &mut Watch, gpu: &GpuRecord) -> Option<EventData> {
    let oldest = gpu.event_count.saturating_sub(EVENTS as u64);
    for number in watch.seen.max(oldest)..gpu.event_count {
        watch.seen = number + 1;
        let slot = usize::try_from(number % EVENTS as u64).ok()?;
        let (kind, data) = (
            gpu.events.0[slot] >> 32,
            gpu.events.0[slot] & u64::from(u32::MAX),
        );
        if kind & watch.kinds != 0 {
            return Some(EventData {
                device: Device::of_index(watch.gpu),
                kind,
                data,
                gpu_instance: NO_INSTANCE,
                compute_instance: NO_INSTANCE,
            });
        }
    }
    None
}

fn poll(set: EventSet) -> Result<Option<EventData>, Status> {
    let state = session::state()?;
    let mut sets = sets();
    let watches = sets.get_mut(&set.0.addr()).ok_or(Status::InvalidArgument)?;
    let event = watches.iter_mut().find_map(|watch| {
        state
            .read(watch.gpu)
            .and_then(|gpu| next_event(watch, &gpu))
    });
    Ok(event)
}

fn wait(set: EventSet, place: Out<EventData>, timeout_ms: u32) -> Answer {
    place.check()?;
    let deadline = Instant::now() + Duration::from_millis(timeout_ms.into());
    loop {
        if let Some(event) = poll(set)? {
            return place.set(event);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Status::Timeout);
        }
        std::thread::sleep(POLL_INTERVAL.min(left));
    }
}

export! {
    fn nvmlEventSetCreate(place: Out<EventSet>) {
        session::state()?;
        place.check()?;
        let number = NEXT_SET.fetch_add(1, Ordering::Relaxed);
        sets().insert(number, Vec::new());
        place.set(EventSet(std::ptr::without_provenance_mut(number)))
    }

    fn nvmlEventSetFree(set: EventSet) {
        session::state()?;
        sets().remove(&set.0.addr()).map(|_| ()).ok_or(Status::InvalidArgument)
    }

    fn nvmlDeviceGetSupportedEventTypes(device: Device, place: Out<u64>) {
        place.check()?;
        device.read()?;
        place.set(SUPPORTED)
    }

    fn nvmlDeviceRegisterEvents(device: Device, kinds: u64, set: EventSet) {
        let seen = device.read()?.event_count;
        if kinds & !SUPPORTED != 0 {
            return Err(Status::NotSupported);
        }
        let watch = Watch { gpu: device.index()?, kinds, seen };
        sets().get_mut(&set.0.addr()).ok_or(Status::InvalidArgument)?.push(watch);
        Ok(())
    }

    fn nvmlEventSetWait(set: EventSet, place: Out<EventData>, timeout_ms: u32) {
        wait(set, place, timeout_ms)
    }

    fn nvmlEventSetWait_v2(set: EventSet, place: Out<EventData>, timeout_ms: u32) {
        wait(set, place, timeout_ms)
    }
}
