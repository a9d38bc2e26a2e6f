//! The bytes of Avro's binary encoding, and what is left of them.

use super::fault::{Fault, fault};

/// Bytes that are read from the front.
#[derive(Debug)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a number of bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, left) = self.0.split_at_checked(count).ok_or_else(ends)?;
        self.0 = left;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were taken"))
    }

    /// Takes a number of variable length in zigzag encoding.
    pub(super) fn long(&mut self) -> Result<i64, Fault> {
        let mut found = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                return Err(fault("number has more than 64 bits"));
            }
            found |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((found >> 1).cast_signed() ^ -(found & 1).cast_signed());
            }
        }
        Err(fault("number has more than 64 bits"))
    }

    pub(super) fn int(&mut self) -> Result<i32, Fault> {
        self.long()?.try_into().map_err(|_| fault("number has more than 32 bits"))
    }

    /// Takes a length, and as many bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.long()?;
        self.take(usize::try_from(length).map_err(|_| ends())?)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes()?).map_err(|_| fault("text is not UTF-8"))
    }

    /// Takes the number of items of the next block of an array or map; 0 is the end.
    pub(super) fn block(&mut self) -> Result<u64, Fault> {
        let count = self.long()?;
        if count < 0 {
            // The size of the block in bytes, for readers that skip it.
            self.long()?;
        }
        Ok(count.unsigned_abs())
    }
}

fn ends() -> Fault {
    fault("data ends within the value")
}
