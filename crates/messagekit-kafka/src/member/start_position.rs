//! Chooses the start offset of a lane from what the group and the consumer's database know of a partition. Pure.

use super::proof::{Positions, Proof};

/// The offset that the group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupOffset {
    pub(crate) offset: i64,
    /// The metadata of a consumer of this crate, which commits after its database; `None` for an offset of an
    /// operator.
    pub(crate) proof: Option<Proof>,
}

/// The positions that the consumer's database remembers of a partition, read after the group's offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// The positions of its key lanes, including those that no longer exist.
    pub(crate) positions: Positions,
    /// The database remembers other partitions of the topic.
    pub(crate) knows_topic: bool,
    /// The consumer was primed: its first position is not of the group.
    pub(crate) is_primed: bool,
}

/// Where a lane starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartPosition {
    /// At the committed offset.
    Committed(i64),
    /// At the earliest record, or the first one of the time that the source names: the partition was never read.
    Earliest,
    /// At the end of what a priming has handled: the group has no offset yet.
    Primed { next: i64 },
    /// The group has lost its offset: the database remembers that everything before `next` was read.
    OffsetLost { next: i64 },
    /// The database has lost commits, as after a failover or a restore: the records from `next` on are read again.
    CommitsLost { next: i64, committed: i64 },
    /// At the committed offset, although records before it were handled and the database remembers nothing of the
    /// partition. It is another database, it remembers nothing at all, or it has lost that and `knows_topic`.
    Forgotten { committed: i64, knows_topic: bool },
}

impl StartPosition {
    /// Returns the offset, or a lower bound of it if the earliest record decides.
    pub(crate) fn offset(self) -> i64 {
        match self {
            Self::Committed(offset) | Self::Forgotten { committed: offset, .. } => offset,
            Self::Primed { next } | Self::OffsetLost { next } | Self::CommitsLost { next, .. } => next,
            Self::Earliest => 0,
        }
    }
}

/// Decides where a lane starts.
///
/// The group's offset is committed after the database's transactions, with the positions that these had written. A
/// key lane below its position in the metadata has lost commits, whatever the other key lanes say and however many
/// exist by now. A lane always starts at an operator's offset.
pub(crate) fn start_position(committed: Option<&GroupOffset>, remembered: &Remembered) -> StartPosition {
    let Remembered { positions, knows_topic, is_primed } = remembered;
    let Some(GroupOffset { offset, proof }) = committed else {
        return match positions.values().min().copied() {
            None => StartPosition::Earliest,
            // A priming writes key lane 0 alone. Of other key lanes that have gone on since, some may have no position yet.
            Some(next) if *is_primed && positions.keys().eq([&0]) => StartPosition::Primed { next },
            Some(next) => StartPosition::OffsetLost { next },
        };
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
    // For a key lane that the metadata does not name, it is unknown whether it has lost commits.
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
        let proof = Some(Proof { remembered: remembered.iter().copied().collect(), ..Proof::default() });
        Some(GroupOffset { offset, proof })
    }

    fn operator(offset: i64) -> Option<GroupOffset> {
        Some(GroupOffset { offset, proof: None })
    }

    fn remembered(positions: &[(u32, i64)]) -> Remembered {
        Remembered { positions: positions.iter().copied().collect(), knows_topic: true, is_primed: false }
    }

    #[test]
    fn positions_of_a_primed_consumer_count_at_first() {
        let primed = Remembered { is_primed: true, ..remembered(&[(0, 7)]) };
        assert_eq!(start_position(None, &primed), StartPosition::Primed { next: 7 });
        let gone_on = Remembered { is_primed: true, ..remembered(&[(0, 7), (1, 5)]) };
        assert_eq!(start_position(None, &gone_on), StartPosition::OffsetLost { next: 5 });
        assert_eq!(start_position(operator(9).as_ref(), &primed), StartPosition::Committed(9));
        let new = Remembered { is_primed: true, ..remembered(&[]) };
        assert_eq!(start_position(None, &new), StartPosition::Earliest, "a partition that was added later");
    }

    #[test]
    fn a_lane_starts_at_the_group_offset_or_an_older_database_one() {
        let lost = |next| StartPosition::CommitsLost { next, committed: 10 };
        for (committed, positions, expected) in [
            (None, &[][..], StartPosition::Earliest),
            (None, &[(0, 7), (1, 5)], StartPosition::OffsetLost { next: 5 }),
            (group(10, &[(0, 10)]), &[(0, 10)], StartPosition::Committed(10)),
            // The group gets the offset after the database, or not at all if the process dies.
            (group(8, &[(0, 8)]), &[(0, 10)], StartPosition::Committed(8)),
            (group(10, &[(0, 10)]), &[(0, 6)], lost(6)),
            // Committed before anything was handled, or by a consumer without a database.
            (group(10, &[]), &[], StartPosition::Committed(10)),
            (group(10, &[]), &[(0, 6)], StartPosition::Committed(10)),
            (operator(10), &[(0, 6)], StartPosition::Committed(10)),
            (operator(2), &[(0, 6)], StartPosition::Committed(2)),
            // An operator has moved the group back; those records are read again anyway.
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
            // A key lane without messages keeps its position.
            (&[(0, 2), (1, 10), (2, 6)][..], &[(0, 2), (1, 10), (2, 6)][..], StartPosition::Committed(10)),
            // The highest position hides nothing, and a slow key lane that has lost nothing is not read again.
            (&[(0, 2), (1, 10), (2, 9)], &[(0, 2), (1, 10), (2, 6)], lost(6)),
            (&[(0, 2), (1, 10), (2, 9)], &[(0, 1), (1, 8), (2, 6)], lost(1)),
            // A key lane whose first commit is lost.
            (&[(0, 10), (1, 9)], &[(0, 10)], lost(0)),
            // If the number of key lanes has changed, the earlier ones count only if they have lost commits.
            (&[(0, 10), (7, 3)], &[(0, 9), (7, 3)], lost(9)),
            (&[(0, 10), (7, 3)], &[(0, 10), (7, 2)], lost(2)),
            // A key lane that the metadata does not name: there are too many, or it is newer. It may have lost
            // commits if another one has.
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
            let nothing = Remembered { positions: Positions::new(), knows_topic, is_primed: false };
            let expected = StartPosition::Forgotten { committed: 10, knows_topic };
            assert_eq!(start_position(group(10, &[(0, 10)]).as_ref(), &nothing), expected);
            assert_eq!(start_position(group(10, &[]).as_ref(), &nothing), StartPosition::Committed(10));
            assert_eq!(start_position(operator(10).as_ref(), &nothing), StartPosition::Committed(10));
        }
    }
}
