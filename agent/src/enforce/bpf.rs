//! Device programs for cgroup v2 through `bpf(2)`: load and attach, nothing else.
//!
//! An attached program belongs to its cgroup and stays when this process ends.

#![allow(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper; each call is checked below"
)]

use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::io;

const CMD_PROG_LOAD: libc::c_long = 5;
const CMD_PROG_ATTACH: libc::c_long = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
/// Programs of parent groups stay in force beside ours.
const ATTACH_ALLOW_MULTI: u32 = 2;
const LICENSE: &[u8] = b"Apache-2.0\0";

/// One instruction of the kernel's virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    const fn new(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Self {
        Self {
            code,
            registers: to | (from << 4),
            offset,
            immediate,
        }
    }

    /// `to = *(u32 *)(from + offset)`
    pub(crate) const fn load(to: u8, from: u8, offset: i16) -> Self {
        Self::new(0x61, to, from, offset, 0)
    }

    /// `to = from`
    pub(crate) const fn copy(to: u8, from: u8) -> Self {
        Self::new(0xbf, to, from, 0, 0)
    }

    /// `to = value`
    pub(crate) const fn set(to: u8, value: i32) -> Self {
        Self::new(0xb7, to, 0, 0, value)
    }

    /// `to &= value`
    pub(crate) const fn and(to: u8, value: i32) -> Self {
        Self::new(0x57, to, 0, 0, value)
    }

    /// `to >>= bits`
    pub(crate) const fn shift_right(to: u8, bits: i32) -> Self {
        Self::new(0x77, to, 0, 0, bits)
    }

    /// Skips `count` instructions if the register holds the value.
    pub(crate) const fn skip_if_equal(register: u8, value: i32, count: i16) -> Self {
        Self::new(0x15, register, 0, count, value)
    }

    /// Skips `count` instructions if the register holds another value.
    pub(crate) const fn skip_unless_equal(register: u8, value: i32, count: i16) -> Self {
        Self::new(0x55, register, 0, count, value)
    }

    /// Ends the program; register 0 is the answer.
    pub(crate) const fn exit() -> Self {
        Self::new(0x95, 0, 0, 0, 0)
    }
}

/// The kernel's `union bpf_attr` as `BPF_PROG_LOAD` reads it.
#[repr(C)]
#[derive(Debug, Default)]
struct LoadAttributes {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The kernel's `union bpf_attr` as `BPF_PROG_ATTACH` reads it.
#[repr(C)]
#[derive(Debug, Default)]
struct AttachAttributes {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Has the kernel check and keep a program.
pub(crate) fn load_device_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    let too_long = |_| io::Error::from_raw_os_error(libc::E2BIG);
    let attributes = LoadAttributes {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(too_long)?,
        insns: program.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        ..LoadAttributes::default()
    };
    let fd = call(CMD_PROG_LOAD, &attributes)?;
    // SAFETY: the kernel has just made this descriptor for us, close-on-exec as always with bpf,
    // and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts a program in force for a cgroup and all below it.
pub(crate) fn attach_device_program(cgroup: &impl AsFd, program: &OwnedFd) -> io::Result<()> {
    let attributes = AttachAttributes {
        target_fd: cgroup.as_fd().as_raw_fd().cast_unsigned(),
        attach_bpf_fd: program.as_raw_fd().cast_unsigned(),
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: ATTACH_ALLOW_MULTI,
    };
    call(CMD_PROG_ATTACH, &attributes).map(drop)
}

fn call<T>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    let size = size_of::<T>();
    // SAFETY: `attributes` is a live `#[repr(C)]` struct of exactly `size` bytes laid out as the
    // kernel's `bpf_attr` for this command; the pointers in it (instructions, licence) come from
    // slices that outlive the call, and the kernel only reads them.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(answer).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))
}
