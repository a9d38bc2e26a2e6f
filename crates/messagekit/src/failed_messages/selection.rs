//! Many failed messages for one action: exactly those that were counted, as they were then.

use sha2::{Digest, Sha256};

use super::{FailedMessageFilter, FailedMessageState};
use crate::{Error, ErrorKind, hex};

/// A failed message's number and version. The version differs after each lease, result of a run and action, also when
/// the message is in the same state again.
///
/// It stays the same when the message moves up in its key, because an action on the message before it does that: a key
/// that is discarded in several batches would otherwise leave the first message of each behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FailedMessageVersion {
    /// The failed message's number.
    pub id: i64,
    version: i64,
}

impl FailedMessageVersion {
    /// Creates the version from what a store keeps: the [token](super::StateMachine::token), the state, and whether a
    /// lease has no result yet.
    pub fn new(id: i64, token: i64, state: FailedMessageState, is_running: bool) -> Self {
        // A token that stays the same leaves three cases: it waits, it runs, it is closed. Each is entered once.
        let case = match (state.is_open(), is_running) {
            (false, _) => 2,
            (true, true) => 1,
            (true, false) => 0,
        };
        Self { id, version: token.wrapping_mul(4) | case }
    }
}

/// A part of a selection, for one transaction.
#[derive(Clone, Copy, Debug)]
pub struct SelectionBatch<'a> {
    /// The filter of the selection.
    pub filter: &'a FailedMessageFilter,
    /// The failed messages, smallest number first, as they were when they were counted.
    pub versions: &'a [FailedMessageVersion],
}

impl SelectionBatch<'_> {
    /// Returns the numbers of the failed messages, in their order.
    pub fn ids(&self) -> Vec<i64> {
        self.versions.iter().map(|version| version.id).collect()
    }
}

/// The failed messages of a filter with their versions, read in pages.
///
/// Its number and its digest are what an operator confirms. A second selection with the same digest has the same failed
/// messages in the same versions, in any process.
///
/// ```
/// # use messagekit::operations::{FailedMessageFilter, FailedMessageSelection, FailedMessages};
/// # async fn select(store: &impl FailedMessages) -> Result<(), messagekit::Error> {
/// let mut selection = FailedMessageSelection::new(FailedMessageFilter::default());
/// while let Some(next) = selection.next_page() {
///     selection.add(&store.versions(&next, FailedMessageSelection::PAGE).await?)?;
/// }
/// println!("{} failed messages, digest {}", selection.count(), selection.digest());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FailedMessageSelection {
    filter: FailedMessageFilter,
    versions: Vec<FailedMessageVersion>,
    hash: Sha256,
    is_complete: bool,
}

impl FailedMessageSelection {
    /// The most failed messages of a page.
    pub const PAGE: u32 = 10_000;
    /// The most failed messages of a selection; they take 16 MB.
    pub const LIMIT: usize = 1_000_000;

    /// Begins the selection of a filter.
    pub fn new(filter: FailedMessageFilter) -> Self {
        Self { filter, versions: Vec::new(), hash: Sha256::new(), is_complete: false }
    }

    /// Returns the filter of the next page, or `None` when the selection is complete.
    pub fn next_page(&self) -> Option<FailedMessageFilter> {
        let after = self.versions.last().map(|last| last.id).or(self.filter.after);
        (!self.is_complete).then(|| FailedMessageFilter { after, ..self.filter.clone() })
    }

    /// Adds the next page: at most [`PAGE`](Self::PAGE) failed messages. A shorter one is the last.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] if the filter selects more than [`LIMIT`](Self::LIMIT).
    pub fn add(&mut self, page: &[FailedMessageVersion]) -> Result<(), Error> {
        if self.versions.len() + page.len() > Self::LIMIT {
            let text = format!(
                "more than {} failed messages are selected: select fewer, for example by a time",
                Self::LIMIT
            );
            return Err(Error::new(ErrorKind::OutOfRange, text));
        }
        for FailedMessageVersion { id, version } in page {
            self.hash.update(id.to_be_bytes());
            self.hash.update(version.to_be_bytes());
        }
        self.versions.extend_from_slice(page);
        self.is_complete = page.len() < Self::PAGE as usize;
        Ok(())
    }

    /// Returns the number of selected failed messages.
    pub fn count(&self) -> usize {
        self.versions.len()
    }

    /// Returns the greatest number in the selection; 0 if it is empty.
    pub fn until_id(&self) -> i64 {
        self.versions.last().map_or(0, |last| last.id)
    }

    /// Returns the digest of numbers and versions, in their order: 32 hexadecimal digits.
    pub fn digest(&self) -> String {
        hex::digits(&self.hash.clone().finalize()[..16])
    }

    /// Compares the selection with the number and the digest that were confirmed.
    ///
    /// # Errors
    /// [`ErrorKind::WrongState`] if they differ, with the number then and now. Look at the selection again.
    ///
    /// ```
    /// use messagekit::operations::{FailedMessageFilter, FailedMessageSelection};
    ///
    /// let selection = FailedMessageSelection::new(FailedMessageFilter::default());
    /// assert!(selection.confirm(0, &selection.digest()).is_ok());
    /// let changed = selection.confirm(3, "00112233445566778899aabbccddeeff").unwrap_err();
    /// assert_eq!(
    ///     changed.to_string(),
    ///     "what was selected has changed since it was counted: 3 failed messages then, 0 now: select again"
    /// );
    /// ```
    pub fn confirm(&self, count: u64, digest: &str) -> Result<(), Error> {
        let now = self.count() as u64;
        if now == count && self.digest() == digest {
            return Ok(());
        }
        let others = if now == count { ", and not the same ones as they were then" } else { "" };
        let text = format!(
            "what was selected has changed since it was counted: {count} failed messages then, {now} now{others}: select again"
        );
        Err(Error::new(ErrorKind::WrongState, text))
    }

    /// Returns the selection in batches of at most `size` failed messages.
    ///
    /// # Panics
    /// Panics if `size` is 0.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = SelectionBatch<'_>> {
        self.versions.chunks(size).map(|versions| SelectionBatch { filter: &self.filter, versions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: i64) -> FailedMessageVersion {
        FailedMessageVersion::new(id, 0, FailedMessageState::Dead, false)
    }

    fn selection(versions: &[FailedMessageVersion]) -> FailedMessageSelection {
        let mut selection = FailedMessageSelection::new(FailedMessageFilter::default());
        selection.add(versions).unwrap();
        selection
    }

    #[test]
    fn a_digest_is_the_same_in_every_process() {
        // sha256 of the numbers 1, 4, 2, 10, eight bytes each, the greatest byte first.
        let versions = [
            FailedMessageVersion::new(1, 1, FailedMessageState::Dead, false),
            FailedMessageVersion::new(2, 2, FailedMessageState::Resolved, false),
        ];
        let pairs = [1_i64, 4, 2, 10].map(i64::to_be_bytes).concat();
        let whole = Sha256::digest(pairs).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(selection(&versions).digest(), whole[..32]);
        assert_eq!(selection(&[]).digest(), "e3b0c44298fc1c149afbf4c8996fb924", "that of nothing");
    }

    #[test]
    fn a_swap_changes_the_digest_and_not_the_count() {
        let counted = selection(&[version(1), version(2), version(4)]);
        let swapped = selection(&[version(1), version(3), version(4)]);
        assert_eq!((counted.count(), counted.until_id()), (swapped.count(), swapped.until_id()));
        let error = swapped.confirm(3, &counted.digest()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongState);
        assert!(error.to_string().contains("3 failed messages then, 3 now, and not the same"), "{error}");
        assert!(counted.confirm(3, &counted.digest()).is_ok());
        assert!(counted.confirm(2, &counted.digest()).is_err(), "the number is confirmed, too");
    }

    #[test]
    fn pages_join_and_have_the_digest_of_the_whole() {
        let all: Vec<_> = (1..=10_003).map(version).collect();
        let filter = FailedMessageFilter { before: Some(20_000), ..FailedMessageFilter::default() };
        let mut paged = FailedMessageSelection::new(filter.clone());
        let mut whole = Sha256::new();
        while let Some(next) = paged.next_page() {
            assert_eq!(next.before, filter.before);
            let after = next.after.unwrap_or(0);
            let page: Vec<_> =
                all.iter().filter(|version| version.id > after).take(10_000).copied().collect();
            paged.add(&page).unwrap();
        }
        for FailedMessageVersion { id, version } in &all {
            whole.update([id.to_be_bytes(), version.to_be_bytes()].concat());
        }
        let whole = whole.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!((paged.count(), paged.digest()), (10_003, whole[..32].to_owned()));
        assert_eq!(paged.batches(500).map(|batch| batch.versions.len()).collect::<Vec<_>>()[19..], [500, 3]);
    }

    #[test]
    fn a_selection_is_never_larger_than_its_limit() {
        let all: Vec<_> = (1..=1_000_001).map(version).collect();
        let mut selection = FailedMessageSelection::new(FailedMessageFilter::default());
        for page in all[..1_000_000].chunks(10_000) {
            selection.add(page).unwrap();
        }
        let error = selection.add(&all[1_000_000..]).unwrap_err();
        assert_eq!((error.kind(), selection.count()), (ErrorKind::OutOfRange, 1_000_000));
        assert_eq!(size_of::<FailedMessageVersion>(), 16, "what its documentation says");
    }
}
