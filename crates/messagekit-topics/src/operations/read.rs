//! Reading a topic at offsets, without a group.

use std::sync::Arc;

use messagekit::Error;
#[cfg(doc)]
use messagekit::ErrorKind;
use messagekit::log::{Bounds, PartitionStart, Record};
use messagekit_topic_store::Pages;
use messagekit_wire::Start;

/// Returns where a request begins: behind the last record unless it says another place.
pub(super) fn position(start: Option<Start>) -> PartitionStart {
    match start {
        None | Some(Start::Latest) => PartitionStart::End,
        Some(Start::Earliest) => PartitionStart::Earliest,
        Some(Start::Offset(offset)) => PartitionStart::Offset(offset),
    }
}

/// Where a reader is in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) partition: i32,
    pub(super) next: i64,
}

impl Reading {
    /// Begins in one partition. A reader may wait for an offset that is not written yet.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] for an offset whose record was deleted.
    pub(super) fn begin(start: PartitionStart, bounds: &Bounds) -> Result<Self, Error> {
        let next = match start {
            PartitionStart::Offset(offset) if offset < bounds.earliest => {
                let text = "records at this offset were deleted: read from the earliest one";
                return Err(bounds.out_of_range(text, offset));
            }
            PartitionStart::Offset(offset) => offset,
            PartitionStart::Earliest => bounds.earliest,
            PartitionStart::End => bounds.end,
        };
        Ok(Self { partition: bounds.partition, next })
    }

    /// Reads at most `max` records, and returns them, and whether there may be more now.
    pub(super) async fn read<S: Pages>(
        &mut self,
        store: &S,
        topic: &Arc<str>,
        max: usize,
    ) -> Result<(Vec<Record>, bool), Error> {
        if max == 0 {
            return Ok((Vec::new(), true));
        }
        let (bounds, records) = Pages::read(store, topic, self.partition, self.next, max).await?;
        self.next = match records.last() {
            Some(last) => last.position.offset + 1,
            None => self.next.max(bounds.end),
        };
        Ok((records, self.next < bounds.end))
    }
}
