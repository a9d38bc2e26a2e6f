//! From what the group and the consumer's database know of a partition to the offset at which its lane starts. Pure.

use super::proof::Fingerprint;

/// What the group has committed of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupOffset {
    pub(crate) offset: i64,
    /// A consumer of this crate has committed it behind what its database had committed, as far as it is known behind which
    /// record; otherwise it was an operator.
    pub(crate) proof: Option<Option<Fingerprint>>,
}

/// Where a lane starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the committed offset.
    Committed(i64),
    /// At the earliest record: nothing was ever read.
    Earliest,
    /// The group has lost its offset: the database remembers that everything before `next` was read.
    OffsetLost { next: i64 },
    /// The database has lost commits, as after a failover or a restore: the records from `next` on are read again.
    CommitsLost { next: i64, committed: i64 },
}

/// Decides where a lane starts. `remembered` has the position of each of its key lanes, read from the database after the
/// group's offset.
///
/// The group's offset is committed behind the database's transaction, so the furthest key lane is never behind it while nothing
/// is lost. An operator's offset is obeyed, wherever it is.
pub(crate) fn place(committed: Option<GroupOffset>, remembered: &[i64]) -> Place {
    let (least, furthest) = (remembered.iter().min(), remembered.iter().max());
    match (committed, least, furthest) {
        (Some(GroupOffset { offset, proof: Some(_) }), Some(next), Some(furthest)) if *furthest < offset => {
            Place::CommitsLost { next: *next, committed: offset }
        }
        (Some(group), ..) => Place::Committed(group.offset),
        (None, Some(next), _) => Place::OffsetLost { next: *next },
        (None, ..) => Place::Earliest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn group(offset: i64, is_ours: bool) -> Option<GroupOffset> {
        Some(GroupOffset { offset, proof: if is_ours { Some(None) } else { None } })
    }

    #[test]
    fn a_lane_starts_at_the_groups_offset_unless_the_database_is_behind_it() {
        for (committed, remembered, expected) in [
            (None, &[][..], Place::Earliest),
            (None, &[7, 5], Place::OffsetLost { next: 5 }),
            // A store that remembers nothing, or a new database.
            (group(10, true), &[], Place::Committed(10)),
            (group(10, true), &[10], Place::Committed(10)),
            // The group is told later than the database, or not at all when the process dies.
            (group(8, true), &[10], Place::Committed(8)),
            (group(10, true), &[6], Place::CommitsLost { next: 6, committed: 10 }),
            // A key lane without messages stays where it was.
            (group(10, true), &[2, 10, 6], Place::Committed(10)),
            (group(10, true), &[2, 9, 6], Place::CommitsLost { next: 2, committed: 10 }),
            (group(10, false), &[6], Place::Committed(10)),
            (group(2, false), &[6], Place::Committed(2)),
        ] {
            assert_eq!(place(committed, remembered), expected, "{committed:?} and {remembered:?}");
        }
    }
}
