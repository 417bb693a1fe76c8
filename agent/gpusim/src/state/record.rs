//! Structures made of whole words in a fixed order, and the macro that declares them.

use std::fmt;

/// A value that is stored as a fixed number of words.
pub(super) trait Record: Default {
    const WORDS: usize;
    /// Visits every word in the order of the layout.
    fn visit(&mut self, visitor: &mut dyn FnMut(&mut u64));
}

impl Record for u64 {
    const WORDS: usize = 1;

    fn visit(&mut self, visitor: &mut dyn FnMut(&mut u64)) {
        visitor(self);
    }
}

/// A text of at most `8 * N` bytes, padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize>([u64; N]);

impl<const N: usize> Text<N> {
    /// Keeps what fits; everything stored was checked against its room before.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut words = [0; N];
        for (word, chunk) in words.iter_mut().zip(text.as_bytes().chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_le_bytes(bytes);
        }
        Self(words)
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Record for Text<N> {
    const WORDS: usize = N;

    fn visit(&mut self, visitor: &mut dyn FnMut(&mut u64)) {
        self.0.iter_mut().for_each(visitor);
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        let end = bytes
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(bytes.len());
        formatter.write_str(&String::from_utf8_lossy(&bytes[..end]))
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.to_string())
    }
}

/// Declares a structure and its order of words from one list of fields.
macro_rules! record {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $kind:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        $visibility struct $name {
            $($(#[$field_meta])* $visibility $field: $kind,)*
        }

        impl Record for $name {
            const WORDS: usize = 0 $(+ <$kind as Record>::WORDS)*;

            fn visit(&mut self, visitor: &mut dyn FnMut(&mut u64)) {
                $(self.$field.visit(visitor);)*
            }
        }
    };
}

pub(super) use record;

/// The words of a record.
pub(super) fn encode<R: Record + Copy>(record: &R) -> Vec<u64> {
    let mut words = Vec::with_capacity(R::WORDS);
    let mut copy = *record;
    copy.visit(&mut |word| words.push(*word));
    words
}

/// The record with these words; missing ones are zero.
pub(super) fn decode<R: Record>(words: &[u64]) -> R {
    let mut remaining = words.iter();
    let mut record = R::default();
    record.visit(&mut |word| *word = remaining.next().copied().unwrap_or(0));
    record
}
