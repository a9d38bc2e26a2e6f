//! Turns the delivery outcomes of messages into the answers to a batch. Pure: no client and no clock.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use messagekit::adapter::{PublishError, PublishErrorKind, Published};
use messagekit::{Error, ErrorKind, Message};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::delivery_outcome::DeliveryOutcome;
use crate::error::unavailable;
use crate::record;

/// The answers to a batch while it is sent.
pub(super) struct Answers<'a> {
    batch: &'a [Message],
    states: Vec<State>,
}

enum State {
    /// To be sent; to be sent again if it has an outcome.
    Open(Option<DeliveryOutcome>),
    Known(DeliveryOutcome),
    /// Rejected before anything was sent.
    Unfit(Error),
}

impl<'a> Answers<'a> {
    /// Rejects messages that no broker accepts, and blocks the later messages of their keys.
    pub(super) fn new(batch: &'a [Message], checks: bool) -> Self {
        let mut answers = Self { batch, states: Vec::with_capacity(batch.len()) };
        let mut unfit = std::collections::HashSet::new();
        for message in batch {
            let key = key(message);
            let state = match if checks { record::check(message) } else { record::check_names(message) } {
                _ if key.is_some_and(|key| unfit.contains(&key)) => State::Known(DeliveryOutcome::behind()),
                Ok(()) => State::Open(None),
                Err(error) => {
                    unfit.extend(key);
                    State::Unfit(error)
                }
            };
            answers.states.push(state);
        }
        answers
    }

    /// Returns the messages to send, in order.
    pub(super) fn open(&self) -> Vec<(usize, &'a Message)> {
        let open = self.states.iter().enumerate().filter(|(_, state)| matches!(state, State::Open(_)));
        open.map(|(index, _)| (index, &self.batch[index])).collect()
    }

    pub(super) fn have_open(&self) -> bool {
        self.states.iter().any(|state| matches!(state, State::Open(_)))
    }

    /// Records the outcomes of one attempt, and decides which messages are sent again.
    ///
    /// A broker rejects requests, not records, and a request may hold records of several calls. Therefore the
    /// rejected messages are sent again, each in its own request (`alone`), with those that the rejection held back.
    /// No message is sent again after one of its key that may be in the topic.
    pub(super) fn note(&mut self, outcomes: Vec<(usize, DeliveryOutcome)>, alone: bool) {
        let large = |fate: &DeliveryOutcome| {
            matches!(fate, DeliveryOutcome::Refused(Code::MessageSizeTooLarge | Code::InvalidRecord))
        };
        let is_refused = outcomes.iter().any(|(_, fate)| large(fate));
        for state in &mut self.states {
            if let State::Open(_) = state {
                // The client has not reported it.
                *state = State::Known(DeliveryOutcome::Unknown(KafkaError::Canceled));
            }
        }
        for (index, fate) in outcomes {
            let again = is_refused
                && match &fate {
                    DeliveryOutcome::NotSent(_) => true,
                    fate => large(fate) && !alone,
                };
            self.states[index] = if again { State::Open(Some(fate)) } else { State::Known(fate) };
        }
        let mut ended = std::collections::HashSet::new();
        for (message, state) in self.batch.iter().zip(&mut self.states) {
            let Some(key) = key(message) else { continue };
            match state {
                State::Known(DeliveryOutcome::Taken) => {}
                State::Known(_) | State::Unfit(_) => drop(ended.insert(key)),
                State::Open(_) if ended.contains(&key) => *state = State::Known(DeliveryOutcome::behind()),
                State::Open(_) => {}
            }
        }
    }

    /// Returns the answer to each message; within a key the `Ok`s are a prefix.
    pub(super) fn finish(self) -> Vec<Published> {
        let mut failed: HashMap<(&Arc<str>, &Bytes), Error> = HashMap::new();
        let mut results = Vec::with_capacity(self.batch.len());
        for (message, state) in self.batch.iter().zip(self.states) {
            let key = key(message);
            let earlier = key.and_then(|key| failed.get(&key));
            let answer = match state {
                State::Known(DeliveryOutcome::Taken) if earlier.is_none() => {
                    results.push(Ok(()));
                    continue;
                }
                State::Unfit(error) => (PublishErrorKind::Rejected, error),
                // It shared its request with what was refused, and was not sent by itself any more: that says nothing of this message.
                State::Open(Some(DeliveryOutcome::Refused(_))) => {
                    answer(message, DeliveryOutcome::NotSent(KafkaError::Canceled), earlier)
                }
                State::Known(fate) | State::Open(Some(fate)) => answer(message, fate, earlier),
                State::Open(None) => answer(message, DeliveryOutcome::NotSent(KafkaError::Canceled), earlier),
            };
            let (refusal, error) = answer;
            if let Some(key) = key {
                failed.entry(key).or_insert_with(|| error.clone());
            }
            results.push(Err(PublishError { refusal, error }));
        }
        results
    }
}

/// Returns the topic and the key that order a message.
pub(super) fn key(message: &Message) -> Option<(&Arc<str>, &Bytes)> {
    message.key.as_ref().map(|key| (&message.topic, key))
}

fn answer(message: &Message, fate: DeliveryOutcome, earlier: Option<&Error>) -> (PublishErrorKind, Error) {
    let (refusal, error) = match (fate, earlier) {
        (DeliveryOutcome::NotSent(_), Some(earlier)) => {
            return (PublishErrorKind::KeyBlocked, earlier.clone());
        }
        (DeliveryOutcome::NotSent(KafkaError::MessageProduction(Code::PurgeQueue)), None) => {
            let text =
                "no broker took the message in time, and it was not sent: start kafka or correct its address";
            (PublishErrorKind::Unavailable, Error::new(ErrorKind::Unavailable, text))
        }
        (DeliveryOutcome::NotSent(KafkaError::MessageProduction(Code::InvalidTimestamp)), None) => {
            let text = "kafka refuses the time of this machine: set its clock, or see message.timestamp.after.max.ms and before.max.ms of the topic";
            (PublishErrorKind::Unavailable, Error::new(ErrorKind::Unavailable, text))
        }
        (DeliveryOutcome::NotSent(error), None) => (
            PublishErrorKind::Unavailable,
            unavailable("kafka did not take the message: it was not sent", error),
        ),
        (DeliveryOutcome::Refused(code), _) => (PublishErrorKind::Rejected, refused(message, code)),
        (DeliveryOutcome::Unknown(error), _) => {
            let text = "kafka did not answer: the message may be published or not";
            (PublishErrorKind::Unknown, Error::new(ErrorKind::OutcomeUnknown, text).caused_by(error))
        }
        // It passed a failed message of its key, and must be sent again after that one.
        (DeliveryOutcome::Taken, _) => {
            let text = "message was published before an earlier one of its key: send it again behind that";
            (PublishErrorKind::Unknown, Error::new(ErrorKind::OutcomeUnknown, text))
        }
    };
    (refusal, error.with("topic", &message.topic))
}

fn refused(message: &Message, code: Code) -> Error {
    let (kind, text) = match code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => (
            ErrorKind::TooLarge,
            format!(
                "message of {} bytes is over the limit of the topic or of message.max.bytes",
                message.size()
            ),
        ),
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            (ErrorKind::NotFound, "topic is not there and the broker does not make it".to_owned())
        }
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            (ErrorKind::InvalidConfiguration, "this client may not write to the topic".to_owned())
        }
        _ => (ErrorKind::InvalidEvent, "kafka refuses the message".to_owned()),
    };
    Error::new(kind, text).caused_by(KafkaError::MessageProduction(code))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fate() -> impl Strategy<Value = DeliveryOutcome> {
        prop_oneof![
            Just(DeliveryOutcome::Taken),
            Just(DeliveryOutcome::Refused(Code::MessageSizeTooLarge)),
            Just(DeliveryOutcome::Refused(Code::TopicAuthorizationFailed)),
            Just(DeliveryOutcome::behind()),
            Just(DeliveryOutcome::Unknown(KafkaError::Canceled)),
        ]
    }

    proptest! {
        #[test]
        fn oks_of_a_key_are_a_prefix_whatever_becomes_of_the_messages(
            first in prop::collection::vec(fate(), 1..20),
            second in prop::collection::vec(fate(), 20),
        ) {
            let batch: Vec<Message> =
                (0..first.len()).map(|index| Message::new("t", "{}").with_key(["a", "b"][index % 2])).collect();
            let mut answers = Answers::new(&batch, true);
            answers.note(first.into_iter().enumerate().collect(), false);
            let again: Vec<usize> = answers.open().into_iter().map(|(index, _)| index).collect();
            answers.note(again.iter().map(|index| (*index, second[*index].clone())).collect(), true);
            let results = answers.finish();
            prop_assert_eq!(results.len(), batch.len());
            for key in 0..2 {
                let oks: Vec<bool> = results.iter().skip(key).step_by(2).map(Result::is_ok).collect();
                prop_assert!(oks.is_sorted_by(|earlier, later| earlier >= later), "key {}: {:?}", key, results);
            }
        }
    }

    #[test]
    fn records_of_a_refused_request_are_sent_again_one_by_one() {
        let batch: Vec<Message> = (0..3).map(|_| Message::new("t", "{}").with_key("k")).collect();
        let large = DeliveryOutcome::Refused(Code::MessageSizeTooLarge);
        let mut answers = Answers::new(&batch, true);
        answers.note(vec![(0, large.clone()), (1, large.clone()), (2, DeliveryOutcome::behind())], false);
        assert_eq!(answers.open().len(), 3);
        answers.note(vec![(0, DeliveryOutcome::Taken), (1, large), (2, DeliveryOutcome::behind())], true);
        assert!(!answers.have_open(), "nothing is sent behind a refused record of its key");
        let refusals: Vec<Option<PublishErrorKind>> =
            answers.finish().into_iter().map(|result| result.err().map(|error| error.refusal)).collect();
        assert_eq!(refusals, [None, Some(PublishErrorKind::Rejected), Some(PublishErrorKind::KeyBlocked)]);
    }

    #[test]
    fn neighbours_of_a_refused_record_are_unavailable_in_the_end() {
        let batch: Vec<Message> = (0..3).map(|_| Message::new("t", "{}")).collect();
        let large = DeliveryOutcome::Refused(Code::MessageSizeTooLarge);
        let mut answers = Answers::new(&batch, true);
        answers.note((0..3).map(|index| (index, large.clone())).collect(), false);
        let refusals: Vec<_> =
            answers.finish().into_iter().map(|result| result.map_err(|error| error.refusal)).collect();
        assert_eq!(refusals, vec![Err(PublishErrorKind::Unavailable); 3], "none was sent by itself");
    }

    /// If a broker rejects several records of a request for this machine's clock, the client reports each as an
    /// invalid record. It reports `InvalidTimestamp` only for the single record of a request.
    #[test]
    fn a_record_is_refused_only_when_it_was_sent_by_itself() {
        for code in [Code::InvalidRecord, Code::MessageSizeTooLarge] {
            let batch = [Message::new("t", "{}")];
            let mut answers = Answers::new(&batch, true);
            answers.note(vec![(0, DeliveryOutcome::Refused(code))], false);
            assert!(answers.have_open(), "another call may have sent what was refused");
            answers.note(
                vec![(0, DeliveryOutcome::of(&KafkaError::MessageProduction(Code::InvalidTimestamp)))],
                true,
            );
            let refusal = answers.finish().remove(0).map_err(|error| error.refusal);
            assert_eq!(refusal, Err(PublishErrorKind::Unavailable), "a clock is an outage");
        }
    }
}
