//! FNV-1a (Fowler, Noll, Vo) of 64 bits: stable over versions, which the standard library's hashes are not.

/// Hashes bytes in order.
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
