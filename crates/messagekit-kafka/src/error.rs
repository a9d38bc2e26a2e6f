//! Errors of this crate: the meaning of librdkafka's codes.

use messagekit::ErrorKind;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaConfRes;

/// Returns the error for a client that cannot be created; `what` names the client.
///
/// It omits librdkafka's text, which contains the value of the setting: that may be a password.
pub(crate) fn unusable_settings(what: &'static str, error: KafkaError) -> messagekit::Error {
    let text = match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _) => {
            format!("setting {key} is unknown to the {what}")
        }
        KafkaError::ClientConfig(_, _, key, _) => {
            format!("setting {key} has a value that the {what} does not take")
        }
        KafkaError::ClientCreation(problem) => {
            format!("the {what} cannot be made from its settings: {problem}")
        }
        other => format!("the {what} cannot be made from its settings: {other}"),
    };
    messagekit::Error::new(ErrorKind::InvalidConfiguration, text)
}

/// Returns the transient error for a request that a broker did not fulfil.
pub(crate) fn unavailable(text: impl Into<String>, error: KafkaError) -> messagekit::Error {
    messagekit::Error::new(ErrorKind::Unavailable, text.into()).caused_by(error)
}

/// Returns whether a commit that failed with `code` may be sent again: the group is rebalancing or its coordinator is
/// moving. The broker enters the next generation before its members know it, so their requests still name the
/// previous one.
pub(crate) fn commit_may_be_repeated(code: Code) -> bool {
    matches!(
        code,
        Code::RebalanceInProgress
            | Code::IllegalGeneration
            | Code::WaitingForCoordinator
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::RequestTimedOut
    )
}

/// Returns whether the broker rejects the record from every sender.
pub(crate) fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidTopic
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::InvalidRecord
            | Code::PolicyViolation
            | Code::InvalidArgument
    )
}

/// Returns whether an error is about the coordinator of a group. The library looks for one also when no group is joined.
pub(crate) fn is_about_groups(code: Code) -> bool {
    matches!(
        code,
        Code::GroupAuthorizationFailed
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::WaitingForCoordinator
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_setting_does_not_show_its_value() {
        let mut config = rdkafka::ClientConfig::new();
        config.set("security.protocol", "hunter2");
        let made = config.create::<rdkafka::consumer::BaseConsumer>();
        let error = unusable_settings("consumer", made.err().expect("no such protocol"));
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert!(error.to_string().contains("security.protocol"), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    }
}
