//! Faults of the consumers of topics in a database.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::operations::{Check, Diagnosis, Repair};

use crate::MAX_CLAIM_RANGES;

/// A consumer holds back the retention of a topic and reads no more of it.
pub const CONSUMER_IDLE: Check = Check::warning(
    "consumer-idle",
    "the topic keeps every record that the consumer has not handled, so the database grows",
);

/// How old the oldest record that a consumer has not handled is when [`CONSUMER_IDLE`] is found.
pub const IDLE_FOUND: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The claims of a consumer have left many separate ranges of records.
pub const CLAIMS_SCATTERED: Check = Check::warning(
    "claims-scattered",
    "each claim writes all ranges, and at the limit the workers of the consumer get no new records",
);

/// The number of ranges in one partition from which [`CLAIMS_SCATTERED`] is found: half of the limit.
pub const SCATTERED_FOUND: usize = MAX_CLAIM_RANGES / 2;

/// The most findings of each of these checks.
pub const MOST_CONSUMERS_FOUND: u32 = 100;

/// Adds the faults of consumers of topics to a [`Diagnosis`].
pub trait GroupFindings {
    /// Adds a [`CONSUMER_IDLE`]. `stored` is the time of the oldest record that the consumer has not handled.
    fn found_idle_consumer(&mut self, consumer: &str, topic: &str, stored: Timestamp);

    /// Adds a [`CLAIMS_SCATTERED`].
    fn found_scattered_claims(&mut self, consumer: &str, topic: &str, partition: i32, ranges: u64);
}

impl GroupFindings for Diagnosis {
    fn found_idle_consumer(&mut self, consumer: &str, topic: &str, stored: Timestamp) {
        let text = format!(
            "consumer {consumer:?} has not handled a record of {topic} from {stored:.0}, and the topic keeps unhandled records"
        );
        let repair = format!(
            "run the consumer; if there is none, forget it with DROP CONSUMER GROUP '{}' ON \"{topic}\", or limit how long the topic \
             keeps unhandled records",
            consumer.replace('\'', "''")
        );
        self.found(&CONSUMER_IDLE, consumer, text, [Repair::Manual(repair)]);
    }

    fn found_scattered_claims(&mut self, consumer: &str, topic: &str, partition: i32, ranges: u64) {
        let text = format!(
            "records of partition {partition} of {topic} that consumer {consumer:?} has claimed are in {ranges} separate ranges; \
             at {MAX_CLAIM_RANGES} it gets no new records"
        );
        let repair = "acknowledge the oldest claimed records, or give them back without a delay: ranges join when the records \
                      between them are settled";
        self.found(&CLAIMS_SCATTERED, consumer, text, [Repair::Manual(repair.to_owned())]);
    }
}
