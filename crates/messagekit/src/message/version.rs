//! The version of an event's data.

use std::fmt;

use serde::{Serialize, Serializer};

/// The version of an event's data. Another major version is another shape; a higher minor version only adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataVersion {
    /// The major version.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
}

impl DataVersion {
    /// Reads `MAJOR.MINOR`; what follows the major version counts as 0 if it is not a number.
    pub const fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let Some((major, at)) = number(bytes, 0) else { return None };
        if at < bytes.len() && bytes[at] != b'.' {
            return None;
        }
        let minor = match number(bytes, at + 1) {
            Some((minor, end)) if end == bytes.len() => minor,
            _ => 0,
        };
        Some(Self { major, minor })
    }
}

/// Reads the digits from `at` on; returns the number and where they end.
const fn number(bytes: &[u8], mut at: usize) -> Option<(u32, usize)> {
    let (start, mut number) = (at, 0_u32);
    while at < bytes.len() && bytes[at].is_ascii_digit() {
        let Some(tens) = number.checked_mul(10) else { return None };
        let Some(next) = tens.checked_add((bytes[at] - b'0') as u32) else { return None };
        number = next;
        at += 1;
    }
    if at == start { None } else { Some((number, at)) }
}

impl Serialize for DataVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for DataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_other_services_write_it() {
        for (text, major, minor) in
            [("1.0", 1, 0), ("12.34", 12, 34), ("1", 1, 0), ("1.", 1, 0), ("1.2.3", 1, 0), ("0.1", 0, 1)]
        {
            assert_eq!(DataVersion::read(text), Some(DataVersion { major, minor }), "{text}");
        }
        for text in ["", ".", "v1", "-1.0", "+1.0", "1 ", "99999999999.0", "\u{661}.0"] {
            assert_eq!(DataVersion::read(text), None, "{text}");
        }
    }
}
