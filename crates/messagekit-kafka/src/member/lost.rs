//! Records that are gone before they were read.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{End, Member};

const ASK: Duration = Duration::from_secs(3);

impl Member {
    /// The broker does not have the offset that the lane wants: says what it has, and ends.
    pub(super) fn lost_records(&self, slot: u32) -> End {
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
