//! Finds equal dedup hashes among any number, in memory that does not grow with it: by sorted runs in temporary files, which are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::{io, mem};

use messagekit::{Error as CoreError, ErrorKind};

use crate::Error;

/// How many hashes are held before they are written: 20 MB of them.
const HELD: usize = 500_000;
const HASH: usize = 32;

/// A hash and its record.
type Hash = ([u8; HASH], i64);

/// Hashes of records.
pub(crate) struct SortedHashes {
    most: usize,
    held: Vec<Hash>,
    runs: Vec<BufReader<File>>,
}

impl Default for SortedHashes {
    fn default() -> Self {
        Self::holding(HELD)
    }
}

impl SortedHashes {
    fn holding(most: usize) -> Self {
        Self { most, held: Vec::new(), runs: Vec::new() }
    }

    /// Adds the hash of a record, as hexadecimal digits.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the folder for temporary files cannot be used.
    pub(crate) fn add(&mut self, hash: &str, record: i64) -> Result<(), Error> {
        self.held.push((bytes(hash), record));
        if self.held.len() < self.most {
            return Ok(());
        }
        self.write_run().map_err(unusable)
    }

    /// Returns a record and an earlier one that have the same hash, the first such record.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(crate) fn equal(mut self) -> Result<Option<(i64, i64)>, Error> {
        self.held.sort_unstable();
        let held = mem::take(&mut self.held);
        let mut equal = Equal::default();
        if self.runs.is_empty() {
            held.into_iter().for_each(|next| equal.look_at(next));
        } else {
            self.held = held;
            self.merge(&mut equal).map_err(unusable)?;
        }
        Ok(equal.end())
    }

    fn write_run(&mut self) -> io::Result<()> {
        self.held.sort_unstable();
        // It has no name, and is gone with its handle.
        let mut file = BufWriter::new(tempfile::tempfile()?);
        for (hash, record) in self.held.drain(..) {
            file.write_all(&hash)?;
            file.write_all(&record.to_be_bytes())?;
        }
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.runs.push(BufReader::new(file));
        Ok(())
    }

    fn merge(mut self, equal: &mut Equal) -> io::Result<()> {
        self.write_run()?;
        let mut first = BinaryHeap::new();
        for (run, file) in self.runs.iter_mut().enumerate() {
            first.extend(next(file)?.map(|hash| Reverse((hash, run))));
        }
        while let Some(Reverse((hash, run))) = first.pop() {
            equal.look_at(hash);
            if let Some(file) = self.runs.get_mut(run) {
                first.extend(next(file)?.map(|hash| Reverse((hash, run))));
            }
        }
        Ok(())
    }
}

/// Looks at hashes in their order.
#[derive(Default)]
struct Equal {
    /// The last hash, and the first and the last of its records.
    last: Option<([u8; HASH], i64, i64)>,
    found: Option<(i64, i64)>,
}

impl Equal {
    fn look_at(&mut self, (hash, record): Hash) {
        match &mut self.last {
            Some((known, _, last)) if *known == hash => *last = record,
            _ => {
                self.close();
                self.last = Some((hash, record, record));
            }
        }
    }

    fn close(&mut self) {
        let pair =
            self.last.take().map(|(_, first, last)| (last, first)).filter(|(last, first)| last > first);
        self.found = self.found.into_iter().chain(pair).min();
    }

    fn end(mut self) -> Option<(i64, i64)> {
        self.close();
        self.found
    }
}

fn next(file: &mut BufReader<File>) -> io::Result<Option<Hash>> {
    let (mut hash, mut record) = ([0; HASH], [0; 8]);
    match file.read_exact(&mut hash) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    file.read_exact(&mut record)?;
    Ok(Some((hash, i64::from_be_bytes(record))))
}

/// Returns the bytes of hexadecimal digits.
fn bytes(hash: &str) -> [u8; HASH] {
    let mut bytes = [0; HASH];
    for (byte, pair) in bytes.iter_mut().zip(hash.as_bytes().chunks(2)) {
        let digit = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or(0) as u8;
        *byte = pair.iter().fold(0, |byte, own| byte << 4 | digit(own));
    }
    bytes
}

fn unusable(error: io::Error) -> Error {
    let text = "hashes of the records cannot be sorted: the folder for temporary files must have room for 40 bytes a record";
    CoreError::new(ErrorKind::Unavailable, text).caused_by(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what is found among hashes of these numbers, whose records count from 1, when so many are held.
    fn found(most: usize, numbers: &[u64]) -> Option<(i64, i64)> {
        let mut hashes = SortedHashes::holding(most);
        for (record, number) in (1..).zip(numbers) {
            hashes.add(&format!("{number:064x}"), record).unwrap();
            assert!(hashes.held.len() < most, "{} are held", hashes.held.len());
        }
        hashes.equal().unwrap()
    }

    #[test]
    fn equal_hashes_are_found_however_few_are_held() {
        let mut numbers: Vec<u64> = (0..1_000).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        for most in [1, 7, 100, 5_000] {
            assert_eq!(found(most.max(1), &numbers), None, "{most}");
        }
        numbers[900] = numbers[3];
        numbers[700] = numbers[650];
        numbers[600] = numbers[20];
        for most in [1, 7, 100, 5_000] {
            assert_eq!(
                found(most, &numbers),
                Some((601, 21)),
                "the first that has an equal, with {most} held"
            );
        }
        assert_eq!(found(2, &[]), None);
    }

    #[test]
    fn of_many_equal_ones_the_first_and_the_last_are_named() {
        assert_eq!(found(2, &[5, 9, 5, 5]), Some((4, 1)));
        assert_eq!(bytes(&"0f".repeat(32)), [15; 32]);
    }
}
