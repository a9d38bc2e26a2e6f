//! From what the group and the consumer's database know of a partition to the offset at which its lane starts. Pure.

use super::proof::{Positions, Proof};

/// What the group has committed of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupOffset {
    pub(crate) offset: i64,
    /// What a consumer of this crate has committed it with, behind what its database had committed; `None` where it was an
    /// operator.
    pub(crate) proof: Option<Proof>,
}

/// What the consumer's database remembers of a partition, read from it after the group's offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// The positions of its key lanes, also of those that do not exist any more.
    pub(crate) positions: Positions,
    /// It remembers other partitions of the topic.
    pub(crate) knows_topic: bool,
}

/// Where a lane starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartPosition {
    /// At the committed offset.
    Committed(i64),
    /// At the earliest record: nothing was ever read.
    Earliest,
    /// The group has lost its offset: the database remembers that everything before `next` was read.
    OffsetLost { next: i64 },
    /// The database has lost commits, as after a failover or a restore: the records from `next` on are read again.
    CommitsLost { next: i64, committed: i64 },
    /// At the committed offset, although records before it were handled and the database remembers nothing of the partition: it
    /// is another one, it remembers nothing at all, or it has lost that and `knows_topic`.
    Forgotten { committed: i64, knows_topic: bool },
}

impl StartPosition {
    /// Returns the offset, or one that is not behind it where the earliest record decides.
    pub(crate) fn offset(self) -> i64 {
        match self {
            Self::Committed(offset) | Self::Forgotten { committed: offset, .. } => offset,
            Self::OffsetLost { next } | Self::CommitsLost { next, .. } => next,
            Self::Earliest => 0,
        }
    }
}

/// Decides where a lane starts.
///
/// The group's offset is committed behind the database's transactions, with the positions that these had written. A key lane
/// that is behind its position there has lost commits, whatever the others say and however many there are by now. An operator's
/// offset is obeyed, wherever it is.
pub(crate) fn start_position(committed: Option<&GroupOffset>, remembered: &Remembered) -> StartPosition {
    let Remembered { positions, knows_topic } = remembered;
    let Some(GroupOffset { offset, proof }) = committed else {
        return positions
            .values()
            .min()
            .map_or(StartPosition::Earliest, |next| StartPosition::OffsetLost { next: *next });
    };
    let (committed, proof) = match proof {
        Some(proof) if !proof.remembered.is_empty() => (*offset, &proof.remembered),
        _ => return StartPosition::Committed(*offset),
    };
    if positions.is_empty() {
        return StartPosition::Forgotten { committed, knows_topic: *knows_topic };
    }
    let found = |key_lane: &u32| positions.get(key_lane).copied().unwrap_or_default();
    if proof.iter().all(|(key_lane, next)| found(key_lane) >= *next) {
        return StartPosition::Committed(committed);
    }
    // Of a key lane that was not named it is not known whether it has lost some.
    let is_whole = |key_lane: &u32| proof.get(key_lane).is_some_and(|next| found(key_lane) >= *next);
    let lost = positions.keys().chain(proof.keys()).filter(|key_lane| !is_whole(key_lane));
    match lost.map(found).min() {
        Some(next) if next < committed => StartPosition::CommitsLost { next, committed },
        _ => StartPosition::Committed(committed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(offset: i64, remembered: &[(u32, i64)]) -> Option<GroupOffset> {
        let proof = Some(Proof { last: None, remembered: remembered.iter().copied().collect() });
        Some(GroupOffset { offset, proof })
    }

    fn operator(offset: i64) -> Option<GroupOffset> {
        Some(GroupOffset { offset, proof: None })
    }

    fn remembered(positions: &[(u32, i64)]) -> Remembered {
        Remembered { positions: positions.iter().copied().collect(), knows_topic: true }
    }

    #[test]
    fn a_lane_starts_at_the_group_offset_or_an_older_database_one() {
        let lost = |next| StartPosition::CommitsLost { next, committed: 10 };
        for (committed, positions, expected) in [
            (None, &[][..], StartPosition::Earliest),
            (None, &[(0, 7), (1, 5)], StartPosition::OffsetLost { next: 5 }),
            (group(10, &[(0, 10)]), &[(0, 10)], StartPosition::Committed(10)),
            // The group is told later than the database, or not at all when the process dies.
            (group(8, &[(0, 8)]), &[(0, 10)], StartPosition::Committed(8)),
            (group(10, &[(0, 10)]), &[(0, 6)], lost(6)),
            // Committed before anything was handled, or by a consumer without a database.
            (group(10, &[]), &[], StartPosition::Committed(10)),
            (group(10, &[]), &[(0, 6)], StartPosition::Committed(10)),
            (operator(10), &[(0, 6)], StartPosition::Committed(10)),
            (operator(2), &[(0, 6)], StartPosition::Committed(2)),
            // What an operator has moved the group back to is read again anyway.
            (group(4, &[(0, 10)]), &[(0, 6)], StartPosition::Committed(4)),
        ] {
            assert_eq!(
                start_position(committed.as_ref(), &remembered(positions)),
                expected,
                "{committed:?}, {positions:?}"
            );
        }
    }

    #[test]
    fn each_key_lane_is_compared_with_itself() {
        let lost = |next| StartPosition::CommitsLost { next, committed: 10 };
        for (noted, positions, expected) in [
            // A key lane without messages stays where it was.
            (&[(0, 2), (1, 10), (2, 6)][..], &[(0, 2), (1, 10), (2, 6)][..], StartPosition::Committed(10)),
            // The furthest one hides nothing, and the slowest one that has lost nothing is not read again.
            (&[(0, 2), (1, 10), (2, 9)], &[(0, 2), (1, 10), (2, 6)], lost(6)),
            (&[(0, 2), (1, 10), (2, 9)], &[(0, 1), (1, 8), (2, 6)], lost(1)),
            // One whose first commit is lost.
            (&[(0, 10), (1, 9)], &[(0, 10)], lost(0)),
            // Where there are fewer or more by now, those of before count only when they have lost some.
            (&[(0, 10), (7, 3)], &[(0, 9), (7, 3)], lost(9)),
            (&[(0, 10), (7, 3)], &[(0, 10), (7, 2)], lost(2)),
            // One that was not named, because there are too many or it is newer: it may have lost some where another one has.
            (&[(0, 10)], &[(0, 10), (1, 5)], StartPosition::Committed(10)),
            (&[(0, 10)], &[(0, 9), (1, 5)], lost(5)),
        ] {
            let (committed, found) = (group(10, noted), remembered(positions));
            assert_eq!(start_position(committed.as_ref(), &found), expected, "{noted:?}, {positions:?}");
        }
    }

    #[test]
    fn partition_unknown_to_the_database_keeps_its_group_offset() {
        for knows_topic in [true, false] {
            let nothing = Remembered { positions: Positions::new(), knows_topic };
            let expected = StartPosition::Forgotten { committed: 10, knows_topic };
            assert_eq!(start_position(group(10, &[(0, 10)]).as_ref(), &nothing), expected);
            assert_eq!(start_position(group(10, &[]).as_ref(), &nothing), StartPosition::Committed(10));
            assert_eq!(start_position(operator(10).as_ref(), &nothing), StartPosition::Committed(10));
        }
    }
}
