//! The contract of the C ABI that no wrapper shows: order of calls, null pointers, sizes, versions.
#![allow(
    unsafe_code,
    reason = "the exported functions are called as C calls them"
)]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nvidia_ml::{Bytes, CreateOptions, Host, HostFile, Process, library};

const SUCCESS: u32 = 0;
const UNINITIALIZED: u32 = 1;
const INVALID_ARGUMENT: u32 = 2;
const NOT_SUPPORTED: u32 = 3;
const INSUFFICIENT_SIZE: u32 = 7;
const DRIVER_NOT_LOADED: u32 = 9;
const VERSION_MISMATCH: u32 = 25;

type Device = *mut c_void;

/// A library loaded for good, with the host it belongs to.
struct Loaded {
    handle: *mut c_void,
    host: Host,
    _directory: tempfile::TempDir,
}

fn load(name: &str) -> Loaded {
    let text = format!(
        "name = '{name}'\ncpus = 8\nmemory = '64Gi'\n[[gpu]]\nmodel = 'H100-80'\ncount = 2\n"
    );
    let file = HostFile::parse(&text, Path::new("host.toml")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = CreateOptions {
        library: library().unwrap(),
        first_minor: 0,
    };
    let (host, _) = Host::create(directory.path(), &file, &options).unwrap();
    Loaded {
        handle: open(&host.library()),
        host,
        _directory: directory,
    }
}

fn open(path: &Path) -> *mut c_void {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the library has no constructors of its own.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!handle.is_null());
    handle
}

fn symbol(handle: *mut c_void, name: &str) -> *mut c_void {
    let name = CString::new(name).unwrap();
    // SAFETY: the handle is open and the name is terminated.
    unsafe { libc::dlsym(handle, name.as_ptr()) }
}

/// Calls a function of a loaded library with the given argument types.
macro_rules! call {
    ($handle:expr, $name:literal $(, $kind:ty = $argument:expr)*) => {{
        let address = symbol($handle, $name);
        assert!(!address.is_null(), "{} is not exported", $name);
        type Function = unsafe extern "C" fn($($kind),*) -> u32;
        // SAFETY: the type is that of the function in NVML's header.
        let function = unsafe { std::mem::transmute::<*mut c_void, Function>(address) };
        // SAFETY: the arguments are null or valid for what the function documents.
        unsafe { function($($argument),*) }
    }};
}

fn device(loaded: &Loaded, index: u32) -> Device {
    let mut device: Device = std::ptr::null_mut();
    let status = call!(loaded.handle, "nvmlDeviceGetHandleByIndex_v2", u32 = index, *mut Device = &raw mut device);
    assert_eq!(status, SUCCESS);
    device
}

fn count(loaded: &Loaded) -> u32 {
    let mut count = 0_u32;
    call!(loaded.handle, "nvmlDeviceGetCount_v2", *mut u32 = &raw mut count)
}

#[test]
fn calls_outside_of_a_session_are_refused_and_sessions_are_counted() {
    let loaded = load("sessions");
    assert_eq!(count(&loaded), UNINITIALIZED);
    assert_eq!(call!(loaded.handle, "nvmlShutdown"), UNINITIALIZED);
    assert_eq!(call!(loaded.handle, "nvmlDeviceGetFanSpeed"), UNINITIALIZED);
    assert_eq!(call!(loaded.handle, "nvmlInit_v2"), SUCCESS);
    assert_eq!(call!(loaded.handle, "nvmlInitWithFlags", u32 = 1), SUCCESS);
    assert_eq!(call!(loaded.handle, "nvmlDeviceGetFanSpeed"), NOT_SUPPORTED);
    assert_eq!(call!(loaded.handle, "nvmlShutdown"), SUCCESS);
    assert_eq!(count(&loaded), SUCCESS);
    assert_eq!(call!(loaded.handle, "nvmlShutdown"), SUCCESS);
    assert_eq!(count(&loaded), UNINITIALIZED);
}

#[test]
fn a_library_without_a_state_file_beside_it_says_that_no_driver_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("libnvidia-ml.so.1");
    std::fs::copy(library().unwrap(), &path).unwrap();
    assert_eq!(call!(open(&path), "nvmlInit_v2"), DRIVER_NOT_LOADED);
}

#[test]
fn null_pointers_and_foreign_handles_are_refused() {
    let loaded = load("null");
    let handle = loaded.handle;
    assert_eq!(call!(handle, "nvmlInit_v2"), SUCCESS);
    let null = std::ptr::null_mut::<c_void>();
    let gpu = device(&loaded, 0);
    for refused in [
        call!(handle, "nvmlDeviceGetCount_v2", Device = null),
        call!(
            handle,
            "nvmlDeviceGetHandleByIndex_v2",
            u32 = 0,
            Device = null
        ),
        call!(
            handle,
            "nvmlDeviceGetHandleByUUID",
            Device = null,
            Device = null
        ),
        call!(
            handle,
            "nvmlDeviceGetName",
            Device = gpu,
            Device = null,
            u32 = 96
        ),
        call!(
            handle,
            "nvmlDeviceGetMemoryInfo_v2",
            Device = gpu,
            Device = null
        ),
        call!(
            handle,
            "nvmlDeviceGetPciInfo_v3",
            Device = gpu,
            Device = null
        ),
        call!(
            handle,
            "nvmlDeviceGetComputeRunningProcesses_v3",
            Device = gpu,
            Device = null,
            Device = null
        ),
        call!(handle, "nvmlEventSetCreate", Device = null),
        call!(handle, "nvmlEventSetFree", Device = null),
    ] {
        assert_eq!(refused, INVALID_ARGUMENT);
    }
    let mut power = 0_u32;
    for foreign in [null, (&raw mut power).cast(), gpu.wrapping_byte_add(1)] {
        let status =
            call!(handle, "nvmlDeviceGetPowerUsage", Device = foreign, *mut u32 = &raw mut power);
        assert_eq!(status, INVALID_ARGUMENT);
    }
}

#[test]
fn a_buffer_too_small_for_a_text_is_refused_and_left_alone() {
    let loaded = load("text");
    assert_eq!(call!(loaded.handle, "nvmlInit_v2"), SUCCESS);
    let gpu = device(&loaded, 0);
    let mut buffer = [1 as c_char; 96];
    let length = u32::try_from("NVIDIA H100 80GB HBM3".len()).unwrap();
    let mut name = |room| {
        let status = call!(loaded.handle, "nvmlDeviceGetName", Device = gpu, *mut c_char = buffer.as_mut_ptr(), u32 = room);
        (status, buffer[0])
    };
    assert_eq!(name(length), (INSUFFICIENT_SIZE, 1));
    assert_eq!(name(length + 1).0, SUCCESS);
    // SAFETY: the library wrote a terminated text into the buffer.
    let text = unsafe { CStr::from_ptr(buffer.as_ptr()) };
    assert_eq!(text, c"NVIDIA H100 80GB HBM3");
}

#[test]
fn structures_of_another_version_are_refused() {
    let loaded = load("versions");
    assert_eq!(call!(loaded.handle, "nvmlInit_v2"), SUCCESS);
    let gpu = device(&loaded, 0);
    let mut memory = [0_u64; 5];
    for (word, expected) in [
        (0, VERSION_MISMATCH),
        (0x0100_0028, VERSION_MISMATCH),
        (0x0200_0028, SUCCESS),
    ] {
        memory[0] = word;
        let status = call!(loaded.handle, "nvmlDeviceGetMemoryInfo_v2", Device = gpu, *mut u64 = memory.as_mut_ptr());
        assert_eq!(status, expected, "{word:#x}");
    }
    assert_eq!((memory[0], memory[1]), (0x0200_0028, 81_559 << 20));
}

/// The pid of an entry; the upper half of its word is padding.
fn low_half(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).unwrap()
}

#[test]
fn lists_are_counted_first_and_filled_then() {
    let loaded = load("lists");
    let handle = loaded.handle;
    assert_eq!(call!(handle, "nvmlInit_v2"), SUCCESS);
    let gpu = device(&loaded, 1);
    let mut entries = [0_u64; 6];
    let mut ask = |room: u32, place: bool| {
        let mut count = room;
        let place = if place {
            entries.as_mut_ptr()
        } else {
            std::ptr::null_mut()
        };
        let status = call!(
            handle,
            "nvmlDeviceGetComputeRunningProcesses_v3",
            Device = gpu,
            *mut u32 = &raw mut count,
            *mut u64 = place
        );
        (status, count, low_half(entries[3]))
    };
    assert_eq!(ask(0, false), (SUCCESS, 0, 0));
    let state = loaded.host.gpu(1).unwrap();
    let pid = std::process::id();
    state
        .add_process(&Process::compute(pid, Bytes(1 << 30)))
        .unwrap();
    state
        .add_process(&Process {
            ghost: true,
            ..Process::compute(77, Bytes(2 << 30))
        })
        .unwrap();
    assert_eq!(ask(0, false), (INSUFFICIENT_SIZE, 2, 0));
    assert_eq!(ask(1, true), (INSUFFICIENT_SIZE, 2, 0));
    assert_eq!(ask(2, false), (INVALID_ARGUMENT, 2, 0));
    assert_eq!(ask(2, true), (SUCCESS, 2, 77));
    assert_eq!(low_half(entries[0]), pid);
    assert_eq!(entries[1], 1 << 30);
    assert_eq!(entries[2], u64::MAX);
}

#[test]
fn names_that_clients_probe_in_pairs_are_exported_in_pairs() {
    let loaded = load("pairs");
    for pair in [
        [
            "nvmlDeviceGetConfComputeMemSizeInfo",
            "nvmlDeviceGetRunningProcessDetailList",
        ],
        [
            "nvmlDeviceGetCurrentClocksThrottleReasons",
            "nvmlDeviceGetCurrentClocksEventReasons",
        ],
        ["nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"],
    ] {
        assert!(
            pair.iter()
                .all(|name| !symbol(loaded.handle, name).is_null()),
            "{pair:?}"
        );
    }
    assert!(symbol(loaded.handle, "nvmlInternalGetExportTable").is_null());
}

#[test]
fn an_error_code_is_put_into_words_without_a_session() {
    let loaded = load("words");
    let address = symbol(loaded.handle, "nvmlErrorString");
    type ErrorString = unsafe extern "C" fn(u32) -> *const c_char;
    // SAFETY: the type is that of the function in NVML's header.
    let function = unsafe { std::mem::transmute::<*mut c_void, ErrorString>(address) };
    // SAFETY: the function takes any number.
    let text = unsafe { function(15) };
    // SAFETY: the function returns a terminated text that lives as long as the library.
    let text = unsafe { CStr::from_ptr(text) };
    assert_eq!(text, c"GPU is lost");
}
