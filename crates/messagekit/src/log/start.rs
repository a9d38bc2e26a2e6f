//! Where a reader of a topic begins.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Bounds, Log, PartitionStart};
use crate::{Error, ErrorKind};

/// Where a reader of a topic begins, in each of its partitions.
///
/// A time is compared with the times at which the log stored its records. A partition whose records are all older is read from its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The first retained records.
    Earliest,
    /// Behind the last records.
    Latest,
    /// This offset in every partition.
    Offset(i64),
    /// The first records of this time or later.
    At(Timestamp),
    /// The first records that are no older than this.
    Ago(Duration),
    /// The first records of today, as the day begins in a time zone.
    StartOfDay(TimeZone),
    /// What this consumer reads next. Partitions in which it has no position are read from their first retained record on.
    Committed(Arc<str>),
}

impl Start {
    /// Returns the offset of each of these partitions, which are all that the topic has, in their order. It lies within their bounds.
    ///
    /// `now` is what [`Ago`](Self::Ago) and [`StartOfDay`](Self::StartOfDay) count from.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`], with the values `partition`, `offset`, `earliest` and `end`, for an offset that a partition does not have.
    /// [`ErrorKind::InvalidConfiguration`] for a time that no calendar has. Those of [`Log::offsets_at`] and [`Log::committed_offsets`].
    pub async fn offsets(
        &self,
        log: &dyn Log,
        topic: &str,
        partitions: &[Bounds],
        now: Timestamp,
    ) -> Result<Vec<i64>, Error> {
        let each = |start: PartitionStart| partitions.iter().map(|bounds| start.within(bounds)).collect();
        let found = match self {
            Self::Earliest => return each(PartitionStart::Earliest),
            Self::Latest => return each(PartitionStart::End),
            Self::Offset(offset) => return each(PartitionStart::Offset(*offset)),
            Self::Committed(consumer) => log.committed_offsets(topic, consumer).await?,
            Self::At(time) => log.offsets_at(topic, *time).await?,
            Self::Ago(age) => {
                log.offsets_at(topic, now.saturating_sub(*age).unwrap_or(Timestamp::MIN)).await?
            }
            Self::StartOfDay(zone) => log.offsets_at(topic, start_of_day(zone, now)?).await?,
        };
        let offset = |bounds: &Bounds| {
            let found = found.iter().find(|(partition, _)| *partition == bounds.partition);
            found.map_or(bounds.earliest, |(_, offset)| *offset).clamp(bounds.earliest, bounds.end)
        };
        Ok(partitions.iter().map(offset).collect())
    }
}

fn start_of_day(zone: &TimeZone, now: Timestamp) -> Result<Timestamp, Error> {
    let day = now.to_zoned(zone.clone()).start_of_day();
    day.map(|day| day.timestamp()).map_err(|error| {
        Error::new(ErrorKind::InvalidConfiguration, "day has no beginning in this time zone").caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_of_its_zone() {
        let now: Timestamp = "2026-11-26T01:30:00Z".parse().unwrap();
        let begins = |hours: i8| start_of_day(&TimeZone::fixed(jiff::tz::offset(hours)), now).unwrap();
        assert_eq!(begins(0), "2026-11-26T00:00:00Z".parse().unwrap());
        assert_eq!(begins(2), "2026-11-25T22:00:00Z".parse().unwrap());
        assert_eq!(begins(-3), "2026-11-25T03:00:00Z".parse().unwrap());
    }
}
