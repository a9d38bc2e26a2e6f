//! The key of a message as 64 bits. The full key may be too long for an index entry; a collision only shares a queue.

use messagekit::fnv::fnv1a;

/// Hashes a key by FNV-1a (Fowler, Noll, Vo). The function never changes, because stored hashes must match.
pub(super) fn key_hash(key: &[u8]) -> i64 {
    fnv1a(key.iter().copied()).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_are_stored() {
        assert_eq!(key_hash(b""), 0xcbf2_9ce4_8422_2325_u64.cast_signed());
        assert_eq!(key_hash(b"a"), 0xaf63_dc4c_8601_ec8c_u64.cast_signed());
        assert_eq!(key_hash(b"foobar"), 0x8594_4171_f739_67e8_u64.cast_signed());
    }
}
