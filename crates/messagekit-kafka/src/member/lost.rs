//! Errors and log lines for lost records, offsets and commits.

use messagekit::{Error, ErrorKind};

use super::continuity::Handled;
use super::offsets::Partition;
use super::start::Start;
use super::start_position::StartPosition;

/// Returns the error for a partition that the database remembers and of which the group has no offset.
pub(super) fn lost_offset(consumer: &str, (topic, partition): &Partition, next: i64) -> Error {
    let text = format!(
        "kafka has lost the committed offset of a partition that was read up to {next}: commit offset {next} for group {consumer} again (kafka-consumer-groups.sh --reset-offsets --to-offset {next}), or an earlier one to read again, then start; if the topic was made again, its first offsets (--to-earliest)"
    );
    Error::new(ErrorKind::WrongState, text)
        .with("consumer", consumer)
        .with("topic", topic)
        .with("partition", partition)
        .with("remembered", next)
}

/// Returns the error for a partition that no longer contains the handled record.
pub(super) fn another_log(consumer: &str, record: &Handled) -> Error {
    let text = format!(
        "partition was cut or made anew: the record at offset {} is not the one that was handled, so others before it were \
         never read; commit an earlier offset for group {consumer} to read them (kafka-consumer-groups.sh --reset-offsets \
         --to-datetime or --to-earliest): what was applied is not applied again",
        record.offset
    );
    Error::new(ErrorKind::WrongState, text)
        .with("consumer", consumer)
        .with("topic", &record.topic)
        .with("partition", record.partition)
        .with("offset", record.offset + 1)
}

/// Logs the commits that the database has lost of a starting partition, if any.
pub(super) fn log_lost_commits(consumer: &str, start: &Start) {
    let ((topic, partition), from) = (&start.partition, start.offset);
    match start.place {
        StartPosition::CommitsLost { next, committed } => tracing::error!(
            consumer,
            topic = &**topic,
            partition,
            remembered = next,
            committed,
            from,
            "database has lost commits of this consumer: its records are read again from the position that it remembers, or from \
             the earliest one"
        ),
        StartPosition::Forgotten { committed, knows_topic: true } => tracing::warn!(
            consumer,
            topic = &**topic,
            partition,
            committed,
            "database remembers other partitions and not this one, of which records were handled: it starts at the group's offset; \
             if the database has lost commits, stop the consumer and commit an earlier offset (kafka-consumer-groups.sh \
             --reset-offsets --to-earliest)"
        ),
        _ => {}
    }
}
