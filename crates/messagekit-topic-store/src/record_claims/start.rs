//! Where a consumer begins, and where it goes on after records were deleted.

use std::ops::Range;

use messagekit::log::Bounds;
use messagekit::{Error, ErrorKind};

use super::claim::OnDeleted;
use super::claim_partition::ClaimPartition;
use super::claim_store::RecordClaims;
use super::steps::Steps;
use super::window::ClaimWindow;

impl<S: RecordClaims> Steps<S> {
    /// Begins in the partitions that the consumer has not read, so that it is known from its first claim on, also if there is nothing to claim.
    pub(super) fn begin_new(&self, partitions: &mut [ClaimPartition]) -> Result<(), Error> {
        for ClaimPartition { bounds, window, is_new } in partitions.iter_mut().filter(|known| known.is_new) {
            *window = ClaimWindow::new(self.start.within(bounds)?);
            *is_new = false;
        }
        Ok(())
    }

    /// Checks that the topic has the partition to claim from.
    pub(super) fn check_partition(&self, partitions: &[ClaimPartition]) -> Result<(), Error> {
        match self.partition {
            Some(only) if !partitions.iter().any(|known| known.bounds.partition == only) => {
                Err(self.no_partition(only))
            }
            _ => Ok(()),
        }
    }

    /// Passes over records that the log no longer has, and returns those that were not settled.
    pub(super) fn pass_deleted(
        &self,
        bounds: &Bounds,
        window: &mut ClaimWindow,
    ) -> Result<Option<Range<i64>>, Error> {
        let next = window.next();
        let mut passed = window.clone();
        let Some(deleted) = passed.pass_deleted(bounds.earliest) else {
            *window = passed;
            return Ok(None);
        };
        match self.on_deleted {
            OnDeleted::Earliest => *window = passed,
            OnDeleted::Latest => {
                window.reset(bounds.end);
                return Ok(Some(next..bounds.end));
            }
            OnDeleted::Fail => {
                let text = "records were deleted before the consumer settled them: reset it to go on";
                return Err(bounds.out_of_range(text, next));
            }
        }
        Ok(Some(deleted))
    }

    pub(super) fn no_partition(&self, partition: i32) -> Error {
        Error::new(ErrorKind::NotFound, "topic has no such partition")
            .with("topic", &self.topic)
            .with("partition", partition)
    }
}
