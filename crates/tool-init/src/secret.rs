//! Bytes that are overwritten before their memory is given back.
//!
//! A `Vec` that grows leaves its old contents in freed memory; [`SecretBytes`] wipes every buffer
//! that it lets go of. Used for messages that carry the environment of a tool.

use std::fmt;

/// A growing byte buffer, wiped when it moves and when it is dropped, absent from `Debug`.
#[derive(Default)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// An empty buffer that takes `capacity` bytes before it has to move.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Appends `bytes`.
    pub fn extend(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.max(self.0.capacity() * 2));
            larger.extend_from_slice(&self.0);
            crate::sys::wipe(&mut self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        crate::sys::wipe(&mut self.0);
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_keeps_what_was_put_in() {
        let mut bytes = SecretBytes::with_capacity(2);
        for part in [&b"one"[..], b"", b"two", b"three"] {
            bytes.extend(part);
        }
        assert_eq!(bytes.as_slice(), b"onetwothree");
        assert!(!bytes.is_empty());
        assert_eq!(format!("{bytes:?}"), "SecretBytes(11 bytes)");
    }

    #[test]
    fn wiping_zeroes_every_byte() {
        let mut bytes = *b"secret";
        crate::sys::wipe(&mut bytes);
        assert_eq!(bytes, [0; 6]);
    }
}
