//! The caller's pointers, wrapped where they arrive: null is refused, everything else is NVML's contract.
//!
//! The wrappers are transparent, so they stand in the exported signatures. Only a C caller makes
//! them, and NVML's contract is theirs: each pointer is null or valid for what the function documents.

use std::ffi::{CStr, c_char};

use super::status::{Answer, Status};

/// A place for one result.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// Refuses null, before anything else is looked at.
    pub(super) fn check(self) -> Answer {
        if self.0.is_null() {
            Err(Status::InvalidArgument)
        } else {
            Ok(())
        }
    }

    pub(super) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Writes the result.
    pub(super) fn set(self, value: T) -> Answer {
        self.check()?;
        // SAFETY: not null, hence valid for writing one `T` by the contract of this module.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }

    /// Reads what the caller put there: a count, or a structure with its version.
    pub(super) fn get(self) -> Result<T, Status> {
        self.check()?;
        // SAFETY: not null, hence valid for reading one `T` by the contract of this module.
        Ok(unsafe { self.0.read_unaligned() })
    }

    /// Writes results to an array whose length the caller stated and this library checked.
    pub(super) fn fill(self, values: &[T]) -> Answer {
        if !values.is_empty() {
            self.check()?;
        }
        for (index, value) in values.iter().enumerate() {
            self.at(index).set(*value)?;
        }
        Ok(())
    }

    /// The place of one element of an array.
    pub(super) fn at(self, index: usize) -> Self {
        Self(self.0.wrapping_add(index))
    }

    /// A place inside the structure that was read from the caller.
    pub(super) fn from_field(pointer: *mut T) -> Self {
        Self(pointer)
    }

    /// The answer of count-then-fill calls: the caller asks with too little room, learns the
    /// number, and asks again.
    pub(super) fn fill_counted(self, count: Out<u32>, values: &[T]) -> Answer {
        let room = count.get()?;
        let needed = u32::try_from(values.len()).map_err(|_| Status::Unknown)?;
        count.set(needed)?;
        if needed > room {
            return Err(Status::InsufficientSize);
        }
        self.fill(values)
    }
}

/// A buffer for a text.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(super) struct TextOut(Out<c_char>);

impl TextOut {
    /// Writes the text and its terminator into a buffer of `room` bytes.
    pub(super) fn set(self, room: u32, text: &str) -> Answer {
        self.0.check()?;
        let bytes: Vec<c_char> = terminated(text).collect();
        if bytes.len() > room as usize {
            return Err(Status::InsufficientSize);
        }
        self.0.fill(&bytes)
    }
}

/// A text of the caller.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(super) struct TextIn(*const c_char);

impl TextIn {
    pub(super) fn get(self) -> Result<String, Status> {
        if self.0.is_null() {
            return Err(Status::InvalidArgument);
        }
        // SAFETY: not null, hence a terminated text by the contract of this module.
        let text = unsafe { CStr::from_ptr(self.0) };
        text.to_str()
            .map(str::to_owned)
            .map_err(|_| Status::InvalidArgument)
    }
}

/// A text in a field of fixed size; what does not fit is cut, and the last byte is always 0.
pub(super) fn text_field<const N: usize>(text: &str) -> [c_char; N] {
    let mut field = [0; N];
    for (place, byte) in field[..N - 1].iter_mut().zip(terminated(text)) {
        *place = byte;
    }
    field
}

fn terminated(text: &str) -> impl Iterator<Item = c_char> {
    text.bytes()
        .chain([0])
        .map(|byte| c_char::from_ne_bytes([byte]))
}
