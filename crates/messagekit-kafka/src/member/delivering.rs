//! Handing messages over.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{End, Member};
use crate::link::Event;

/// How many messages of one lane are taken before the next lane.
const TURN: usize = 32;

const ASK: Duration = Duration::from_secs(3);

impl Member {
    /// Delivers messages while there is room.
    pub(super) fn deliver(&mut self) -> Result<bool, End> {
        let mut moved = false;
        let slots: Vec<u32> =
            self.lanes.iter().filter(|(_, lane)| lane.is_delivering()).map(|(slot, _)| *slot).collect();
        for slot in slots {
            if !self.events.have_room() {
                return Ok(moved);
            }
            let Some(lane) = self.lanes.get_mut(&slot) else { continue };
            let fetched = lane.fetch();
            if !matches!(fetched, Ok(false)) {
                moved = true;
                self.poll_main_queue()?;
                if self.notice_recreated()? {
                    return Ok(true);
                }
            }
            moved |= self.hand_over(slot)?;
            self.note_read(slot);
            match fetched {
                Ok(_) => {}
                Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)) => {
                    return Err(self.lost_records(slot));
                }
                Err(error) => self.failed(error)?,
            }
        }
        Ok(moved)
    }

    /// Delivers fetched messages of a lane, a turn of them at most.
    fn hand_over(&mut self, slot: u32) -> Result<bool, End> {
        let mut moved = false;
        for _ in 0..TURN {
            if !self.events.have_room() {
                break;
            }
            // After the check for room, so that a pause is followed by no more messages than were in flight.
            moved |= self.obey()?;
            let Some(lane) = self.lanes.get_mut(&slot).filter(|lane| lane.is_delivering()) else { break };
            let Some(delivery) = lane.take() else { break };
            let round = lane.round;
            self.events.send(Event::Message { delivery, round });
            moved = true;
        }
        Ok(moved)
    }

    /// Returns the end of a member whose lane requires an offset that the broker does not have; the error names the
    /// offsets it has.
    fn lost_records(&self, slot: u32) -> End {
        let lane = &self.lanes[&slot];
        let wanted = lane.wanted();
        let bounds = self.consumer.fetch_watermarks(&lane.topic, lane.partition, ASK);
        let text = match bounds {
            Ok((earliest, _)) if wanted < earliest => format!(
                "records {wanted} to {} were deleted before they were read: keep records for longer, and commit offset {earliest} for group {} to go on without them",
                earliest - 1,
                self.name
            ),
            Ok((_, end)) => format!(
                "offset {wanted} is not in the partition, which ends at {end}: its records are lost or the topic was made anew; commit an offset up to {end} for group {} to go on",
                self.name
            ),
            Err(_) => format!("offset {wanted} is not in the partition any more"),
        };
        End::Permanent(
            Error::new(ErrorKind::WrongState, text)
                .with("consumer", &self.name)
                .with("topic", &lane.topic)
                .with("partition", lane.partition)
                .with("offset", wanted)
                .with(
                    "earliest",
                    bounds.map_or_else(|_| "unknown".to_owned(), |(earliest, _)| earliest.to_string()),
                )
                .caused_by(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)),
        )
    }
}
