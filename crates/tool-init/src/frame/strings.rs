//! Argument and environment lists: NUL-terminated strings, one after the other, as `execve` wants them.

use std::ffi::CStr;

use super::{DecodeError, EncodeError};
use crate::secret::SecretBytes;

/// A list of NUL-terminated strings in someone else's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Strings<'a> {
    count: u32,
    bytes: &'a [u8],
}

impl std::fmt::Debug for Strings<'_> {
    /// The number only: the strings may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Strings({})", self.count)
    }
}

impl<'a> Strings<'a> {
    /// Cuts `count` strings off the front of `bytes`; gives them and the rest.
    pub(super) fn split(bytes: &'a [u8], count: u32) -> Result<(Self, &'a [u8]), DecodeError> {
        let mut end = 0;
        for _ in 0..count {
            let rest = &bytes[end..];
            let nul = rest
                .iter()
                .position(|b| *b == 0)
                .ok_or(DecodeError::TooShort)?;
            end += nul + 1;
        }
        let (bytes, rest) = bytes.split_at(end);
        Ok((Self { count, bytes }, rest))
    }

    /// How many strings there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    pub(super) fn count(self) -> u32 {
        self.count
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The strings, in order.
    pub fn iter(self) -> impl Iterator<Item = &'a CStr> {
        self.bytes
            .split_inclusive(|b| *b == 0)
            .filter_map(|s| CStr::from_bytes_with_nul(s).ok())
    }
}

/// A list under construction, on the host. Wiped when dropped.
#[derive(Debug, Default)]
pub struct StringsBuf {
    count: u32,
    bytes: SecretBytes,
}

impl StringsBuf {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A list of arguments.
    ///
    /// # Errors
    /// [`EncodeError::ZeroByte`] if one of them has a zero byte in it.
    pub fn from_args<A: AsRef<[u8]>>(
        args: impl IntoIterator<Item = A>,
    ) -> Result<Self, EncodeError> {
        let mut list = Self::new();
        for arg in args {
            list.push(arg.as_ref())?;
        }
        Ok(list)
    }

    /// Appends an argument.
    ///
    /// # Errors
    /// [`EncodeError::ZeroByte`]; the list is then unchanged.
    pub fn push(&mut self, string: &[u8]) -> Result<(), EncodeError> {
        if string.contains(&0) {
            return Err(EncodeError::ZeroByte);
        }
        self.bytes.extend(string);
        self.bytes.extend(&[0]);
        self.count += 1;
        Ok(())
    }

    /// Appends an environment variable.
    ///
    /// # Errors
    /// [`EncodeError::BadName`], [`EncodeError::ZeroByte`]; the list is then unchanged.
    pub fn push_env(&mut self, name: &[u8], value: &[u8]) -> Result<(), EncodeError> {
        if name.is_empty() || name.contains(&b'=') {
            return Err(EncodeError::BadName);
        }
        if name.contains(&0) || value.contains(&0) {
            return Err(EncodeError::ZeroByte);
        }
        for part in [name, b"=", value, &[0]] {
            self.bytes.extend(part);
        }
        self.count += 1;
        Ok(())
    }

    /// The finished list.
    #[must_use]
    pub fn as_strings(&self) -> Strings<'_> {
        Strings {
            count: self.count,
            bytes: self.bytes.as_slice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_in_order_empty_ones_too() {
        let list = StringsBuf::from_args(["a", "", "b c"]).unwrap();
        let strings = list.as_strings();
        let back: Vec<_> = strings.iter().map(|s| s.to_str().unwrap()).collect();
        assert_eq!((strings.len(), back), (3, vec!["a", "", "b c"]));
    }

    #[test]
    fn bad_names_and_zero_bytes_change_nothing() {
        let mut list = StringsBuf::new();
        assert_eq!(list.push_env(b"", b"x"), Err(EncodeError::BadName));
        assert_eq!(list.push_env(b"A=B", b"x"), Err(EncodeError::BadName));
        assert_eq!(list.push_env(b"A", b"x\0y"), Err(EncodeError::ZeroByte));
        assert_eq!(list.push(b"\0"), Err(EncodeError::ZeroByte));
        assert!(list.as_strings().is_empty());
        assert!(list.as_strings().bytes().is_empty());
    }

    #[test]
    fn a_secret_does_not_show_in_debug() {
        let mut list = StringsBuf::new();
        list.push_env(b"KEY", b"canary").unwrap();
        assert!(!format!("{list:?} {:?}", list.as_strings()).contains("canary"));
    }
}
