//! What was delivered and is not finished.

use std::collections::VecDeque;

use messagekit::{Place, Watermark};

use crate::binding::Move;

/// Follows the deliveries of a lane: positions are counted through all its partitions, so that what is finished in the
/// lane without a gap is finished without a gap in each of them.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    next: u64,
    watermark: Watermark,
    open: VecDeque<(u64, Place)>,
}

impl Unsettled {
    /// Notes a delivery and returns its position.
    pub(super) fn delivered(&mut self, place: Place) -> u64 {
        let position = self.next;
        self.next += 1;
        self.watermark.delivered(position);
        self.open.push_back((position, place));
        position
    }

    pub(super) fn settled(&mut self, position: u64) {
        self.watermark.settled(position);
    }

    /// Returns how far each partition has come since the last call, the farthest only.
    pub(super) fn take_finished(&mut self) -> Vec<Move> {
        let mut moves: Vec<Move> = Vec::new();
        let Some(finished) = self.watermark.finished() else { return moves };
        while let Some((_, place)) = self.open.pop_front_if(|(position, _)| *position <= finished) {
            let next = place.offset + 1;
            match moves.iter_mut().find(|m| m.partition == place.partition && m.topic == place.topic) {
                Some(known) => known.next = next,
                None => moves.push(Move { topic: place.topic, partition: place.partition, next }),
            }
        }
        moves
    }

    /// Forgets the lane's deliveries; positions go on, so that an old receipt fits nothing.
    pub(super) fn forget(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32, offset: i64) -> Place {
        Place { topic: "t".into(), partition, offset }
    }

    #[test]
    fn an_unsettled_message_holds_back_every_later_one() {
        let mut lane = Unsettled::default();
        let positions = [place(0, 7), place(1, 3), place(0, 8)].map(|place| lane.delivered(place));
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
