//! When reading ends.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use messagekit::log::Record;

use crate::input::moment;

/// What `--until` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Live,
    Never,
    Time(Timestamp),
}

/// Parses `live`, `never` or a time.
pub(super) fn until(text: &str) -> Result<Until, String> {
    match text {
        "live" => Ok(Until::Live),
        "never" => Ok(Until::Never),
        _ => moment(text).map(Until::Time).map_err(|error| format!("{error}; or live, or never")),
    }
}

/// Finds the end in the batches of a reader.
///
/// In front of a time means: of each partition the records before its first one of this time or later. That is where [`Start::At`] the same
/// time begins, so that one reads what the other leaves.
///
/// [`Start::At`]: messagekit::log::Start::At
#[derive(Debug)]
pub(super) struct Ending {
    until: Until,
    /// The partitions of which all is read.
    ended: HashSet<(Arc<str>, i32)>,
}

impl Ending {
    pub(super) fn new(until: Until) -> Self {
        Self { until, ended: HashSet::new() }
    }

    /// Removes the records that lie behind the end, and returns whether it is reached.
    pub(super) fn cut(&mut self, records: &mut Vec<Record>, is_live: bool, now: Timestamp) -> bool {
        let end = match self.until {
            Until::Live => return is_live,
            Until::Never => return false,
            Until::Time(end) => end,
        };
        records.retain(|record| {
            let partition = (record.position.topic.clone(), record.position.partition);
            if record.stored_at() >= end {
                self.ended.insert(partition);
                return false;
            }
            !self.ended.contains(&partition)
        });
        // As long as the past is read, records come in the order of their time: all partitions have reached what one has.
        if is_live { now >= end && records.is_empty() } else { !self.ended.is_empty() }
    }
}

#[cfg(test)]
mod tests {
    use messagekit::{Message, Position};

    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn records(of: &[(i32, i64)]) -> Vec<Record> {
        let record = |(offset, (partition, at)): (i64, &(i32, i64))| Record {
            message: Message::new("m", "1"),
            position: Position { topic: "m".into(), partition: *partition, offset },
            timestamp: Some(second(*at)),
            is_tombstone: false,
        };
        (0..).zip(of).map(record).collect()
    }

    fn offsets(records: &[Record]) -> Vec<i64> {
        records.iter().map(|record| record.position.offset).collect()
    }

    #[test]
    fn the_past_ends_at_the_first_record_of_the_time() {
        let mut ending = Ending::new(Until::Time(second(20)));
        let mut early = records(&[(0, 10), (1, 19)]);
        assert!(!ending.cut(&mut early, false, second(99)));
        assert_eq!(early.len(), 2);
        let mut late = records(&[(0, 19), (1, 20), (1, 15), (0, 25)]);
        assert!(ending.cut(&mut late, false, second(99)));
        assert_eq!(offsets(&late), [0], "what is late behind it belongs to what is read from that time on");
    }

    #[test]
    fn a_live_reader_ends_when_the_time_has_come() {
        let mut ending = Ending::new(Until::Time(second(20)));
        let mut arrived = records(&[(0, 21), (1, 19)]);
        assert!(!ending.cut(&mut arrived, true, second(21)), "the other partition may have more");
        assert_eq!(offsets(&arrived), [1]);
        assert!(!ending.cut(&mut Vec::new(), true, second(19)));
        assert!(ending.cut(&mut records(&[(0, 22)]), true, second(21)));
    }

    #[test]
    fn live_and_never_cut_nothing() {
        for (until, ends) in [(Until::Live, true), (Until::Never, false)] {
            let mut all = records(&[(0, 10), (0, 30)]);
            assert_eq!(Ending::new(until).cut(&mut all, true, second(20)), ends);
            assert!(!Ending::new(until).cut(&mut all, false, second(20)));
            assert_eq!(all.len(), 2);
        }
    }

    #[test]
    fn an_end_is_a_word_or_a_time() {
        assert_eq!((until("live"), until("never")), (Ok(Until::Live), Ok(Until::Never)));
        assert_eq!(until("1970-01-01T00:00:20Z"), Ok(Until::Time(second(20))));
        assert!(until("soon").unwrap_err().ends_with("or live, or never"));
    }
}
