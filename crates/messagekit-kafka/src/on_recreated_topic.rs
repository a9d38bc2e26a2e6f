//! What a consumer does when a topic is deleted and made again under its name.

use messagekit::{Error, ErrorKind};

/// What a consumer does when it notices that a topic was deleted and made again, so that its position is one of another log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnRecreatedTopic {
    /// It ends with a permanent error, [`ErrorKind::WrongState`], before it reads a record of the new topic.
    #[default]
    Stop,
    /// It reads the new topic from its start and logs a warning.
    ReadFromStart,
}

#[cfg(feature = "config")]
impl messagekit_config::Setting for OnRecreatedTopic {
    fn read(value: &messagekit_config::Value) -> Result<Self, String> {
        match value.text()? {
            "stop" => Ok(Self::Stop),
            "read_from_start" => Ok(Self::ReadFromStart),
            _ => Err(value.instead_of("stop or read_from_start")),
        }
    }
}

/// Returns the error of a reader of a log, whose offsets are its caller's.
pub(crate) fn recreated_log(topic: &str) -> Error {
    let text = "topic was deleted and made again while it was read, so the offsets of this reader are those of another log: open the reader \
                again, from the start";
    Error::new(ErrorKind::WrongState, text).with("topic", topic)
}

/// Returns the error of a consumer that stops.
pub(crate) fn recreated(consumer: &str, topic: &str) -> Error {
    let text = format!(
        "topic was deleted and made again, so the position of this consumer is one of another log: to read the new topic from its \
         start, set on_recreated_topic to read_from_start, or commit its first offsets for group {consumer} \
         (kafka-consumer-groups.sh --reset-offsets --to-earliest), then start again"
    );
    Error::new(ErrorKind::WrongState, text).with("consumer", consumer).with("topic", topic)
}
