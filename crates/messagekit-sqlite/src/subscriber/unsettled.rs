//! Messages that were delivered and are not settled.

use std::collections::VecDeque;

use messagekit::Position;
use messagekit::adapter::Watermark;

use crate::binding::Move;

/// Tracks the deliveries of a lane. Positions are counted across all its partitions, so messages settled without a gap in
/// the lane are settled without a gap in each partition.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    next: u64,
    watermark: Watermark,
    open: VecDeque<(u64, Position)>,
}

impl Unsettled {
    /// Records a delivery and returns its position.
    pub(super) fn delivered(&mut self, position: Position) -> u64 {
        let sequence = self.next;
        self.next += 1;
        self.watermark.delivered(sequence);
        self.open.push_back((sequence, position));
        sequence
    }

    pub(super) fn settled(&mut self, sequence: u64) {
        self.watermark.settled(sequence);
    }

    /// Returns the farthest position of each partition since the last call.
    pub(super) fn take_finished(&mut self) -> Vec<Move> {
        let mut moves: Vec<Move> = Vec::new();
        let Some(finished) = self.watermark.finished() else { return moves };
        while let Some((_, position)) = self.open.pop_front_if(|(sequence, _)| *sequence <= finished) {
            let next = position.offset + 1;
            match moves.iter_mut().find(|m| m.partition == position.partition && m.topic == position.topic) {
                Some(known) => known.next = next,
                None => moves.push(Move { topic: position.topic, partition: position.partition, next }),
            }
        }
        moves
    }

    /// Drops the lane's deliveries; positions continue, so that an old receipt matches nothing.
    pub(super) fn forget(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32, offset: i64) -> Position {
        Position { topic: "t".into(), partition, offset }
    }

    #[test]
    fn an_unsettled_message_holds_back_every_later_one() {
        let mut lane = Unsettled::default();
        let positions = [place(0, 7), place(1, 3), place(0, 8)].map(|position| lane.delivered(position));
        lane.settled(positions[1]);
        lane.settled(positions[2]);
        assert!(lane.take_finished().is_empty());
        lane.settled(positions[0]);
        let moves: Vec<_> = lane.take_finished().into_iter().map(|m| (m.partition, m.next)).collect();
        assert_eq!(moves, [(0, 9), (1, 4)]);
        assert!(lane.take_finished().is_empty());
    }

    #[test]
    fn positions_of_a_forgotten_lane_fit_nothing() {
        let mut lane = Unsettled::default();
        let old = lane.delivered(place(0, 1));
        lane.forget();
        lane.delivered(place(0, 1));
        lane.settled(old);
        assert!(lane.take_finished().is_empty());
    }
}
