//! The status codes of NVML.

/// `nvmlReturn_t`, as far as this library returns it.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Success = 0,
    Uninitialized = 1,
    InvalidArgument = 2,
    NotSupported = 3,
    NoPermission = 4,
    NotFound = 6,
    InsufficientSize = 7,
    DriverNotLoaded = 9,
    Timeout = 10,
    GpuIsLost = 15,
    ResetRequired = 16,
    OperatingSystem = 17,
    InUse = 19,
    NoData = 21,
    ArgumentVersionMismatch = 25,
    NotReady = 27,
    Unknown = 999,
}

/// What the body of an exported function returns.
pub(super) type Answer = Result<(), Status>;

impl Status {
    /// The status to answer with for an injected fault.
    pub(super) fn of_fault(fault: u64) -> Self {
        let known = [
            Self::NotSupported,
            Self::NoPermission,
            Self::NotFound,
            Self::Timeout,
            Self::GpuIsLost,
            Self::ResetRequired,
            Self::OperatingSystem,
            Self::InUse,
            Self::NoData,
            Self::NotReady,
        ];
        known
            .into_iter()
            .find(|status| *status as u64 == fault)
            .unwrap_or(Self::Unknown)
    }
}

/// The text for any status code, as NVML words it.
pub(super) fn error_text(code: u32) -> &'static std::ffi::CStr {
    match code {
        0 => c"The operation was successful",
        1 => c"NVML was not first initialized with nvmlInit()",
        2 => c"A supplied argument is invalid",
        3 => c"The requested operation is not available on target device",
        4 => c"The current user does not have permission for operation",
        6 => c"A query to find an object was unsuccessful",
        7 => c"An input argument is not large enough",
        9 => c"NVIDIA driver is not loaded",
        10 => c"User provided timeout passed",
        15 => c"GPU is lost",
        16 => c"The GPU requires a reset",
        17 => c"The GPU control device has been blocked by the operating system/cgroups",
        19 => c"The operation cannot be performed because the GPU is in use",
        21 => c"No data",
        25 => c"The provided version is invalid or unsupported",
        27 => c"The system is not ready for the request",
        _ => c"Unknown Error",
    }
}
