//! Turns the delivery outcomes of messages into the answers to a batch. Pure: no client and no clock.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use messagekit::adapter::{PublishError, PublishErrorKind, Published};
use messagekit::{Error, ErrorKind, Message};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::delivery_outcome::DeliveryOutcome;
use super::route::Route;
use crate::error::unavailable;
use crate::record;

/// The answers to a batch while it is sent.
pub(super) struct Answers<'a> {
    batch: &'a [Message],
    states: Vec<State>,
}

enum State {
    Open(Attempts),
    Known(DeliveryOutcome),
    /// Rejected before anything was sent.
    Unfit(Error),
}

/// What became of a message that is to be sent, for the first time or again.
#[derive(Default)]
struct Attempts {
    last: Option<DeliveryOutcome>,
    refusals: u32,
}

/// The messages that are sent next by one client, with their indexes in the batch.
pub(super) struct RouteBatch<'a> {
    pub(super) route: Route,
    pub(super) messages: Vec<(usize, &'a Message)>,
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
                Ok(()) => State::Open(Attempts::default()),
                Err(error) => {
                    unfit.extend(key);
                    State::Unfit(error)
                }
            };
            answers.states.push(state);
        }
        answers
    }

    /// Returns the topics of the messages to send.
    pub(super) fn open_topics(&self) -> Vec<Arc<str>> {
        let topics: BTreeSet<&Arc<str>> = self.open().map(|(_, message, _)| &message.topic).collect();
        topics.into_iter().cloned().collect()
    }

    /// Returns the messages to send next, in order, by their route, which `route` decides if the limit of the topic is
    /// known.
    ///
    /// Messages of a key go together as long as their route is the same: those on another route wait for the answers.
    pub(super) fn parts(&self, route: impl Fn(&Message) -> Option<Route>) -> Vec<RouteBatch<'a>> {
        let mut of_keys: HashMap<(&Arc<str>, &Bytes), Option<Route>> = HashMap::new();
        let mut parts: Vec<RouteBatch<'a>> = Vec::new();
        for (index, message, attempts) in self.open() {
            let route = attempts.route(|| route(message));
            if let Some(key) = key(message) {
                let is_next = match of_keys.entry(key) {
                    Entry::Vacant(first) => {
                        // A refusal does not hold back what this client has in its queue behind it.
                        first.insert(Some(route).filter(|route| *route != Route::Alone));
                        true
                    }
                    Entry::Occupied(mut earlier) if *earlier.get() != Some(route) => {
                        earlier.insert(None);
                        false
                    }
                    Entry::Occupied(_) => true,
                };
                if !is_next {
                    continue;
                }
            }
            match parts.iter_mut().find(|part| part.route == route) {
                Some(part) => part.messages.push((index, message)),
                None => parts.push(RouteBatch { route, messages: vec![(index, message)] }),
            }
        }
        parts
    }

    fn open(&self) -> impl Iterator<Item = (usize, &'a Message, &Attempts)> {
        self.batch.iter().zip(&self.states).enumerate().filter_map(|(index, (message, state))| match state {
            State::Open(attempts) => Some((index, message, attempts)),
            _ => None,
        })
    }

    pub(super) fn have_open(&self) -> bool {
        self.states.iter().any(|state| matches!(state, State::Open(_)))
    }

    /// Records the outcomes of one attempt, and decides which messages are sent again.
    ///
    /// A broker rejects requests, not records, and a request may hold records of several calls. Therefore the
    /// rejected messages are sent again, and in the end alone, with those that the rejection held back.
    /// No message is sent again after one of its key that may be in the topic.
    pub(super) fn note(&mut self, part: &RouteBatch<'_>, outcomes: Vec<(usize, DeliveryOutcome)>) {
        let is_alone = part.route == Route::Alone;
        let is_refused = outcomes.iter().any(|(_, fate)| may_be_of_a_neighbour(fate));
        let mut reported: HashMap<usize, DeliveryOutcome> = outcomes.into_iter().collect();
        for (index, _) in &part.messages {
            // The client may have ended without a report.
            let fate = reported.remove(index).unwrap_or(DeliveryOutcome::Unknown(KafkaError::Canceled));
            let refused = may_be_of_a_neighbour(&fate);
            let again = match &fate {
                DeliveryOutcome::NotSent(_) => is_refused,
                _ => refused && !is_alone,
            };
            let state = &mut self.states[*index];
            let State::Open(attempts) = state else { continue };
            if again {
                attempts.refusals += u32::from(refused);
                attempts.last = Some(fate);
            } else {
                *state = State::Known(fate);
            }
        }
        self.block_keys();
    }

    /// Blocks the messages to send whose key an earlier message has ended.
    fn block_keys(&mut self) {
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
                State::Open(Attempts { last: None | Some(DeliveryOutcome::Refused(_)), .. }) => {
                    answer(message, DeliveryOutcome::NotSent(KafkaError::Canceled), earlier)
                }
                State::Known(fate) | State::Open(Attempts { last: Some(fate), .. }) => {
                    answer(message, fate, earlier)
                }
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

impl Attempts {
    /// Returns the route of the next attempt. What was refused twice goes alone, and at once if the limit of its topic
    /// is unknown or not the reason.
    fn route(&self, known: impl FnOnce() -> Option<Route>) -> Route {
        match (&self.last, self.refusals) {
            (Some(DeliveryOutcome::Refused(Code::MessageSizeTooLarge)), 0..=1) => {
                known().unwrap_or(Route::Alone)
            }
            (Some(DeliveryOutcome::Refused(_)), _) => Route::Alone,
            _ => known().unwrap_or(Route::Common),
        }
    }
}

/// Returns whether another record of the request may have been the reason.
fn may_be_of_a_neighbour(fate: &DeliveryOutcome) -> bool {
    matches!(fate, DeliveryOutcome::Refused(Code::MessageSizeTooLarge | Code::InvalidRecord))
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

    /// Notes the outcomes of one attempt over `route` with what is open.
    fn note(answers: &mut Answers<'_>, route: Route, outcomes: impl IntoIterator<Item = DeliveryOutcome>) {
        let messages = answers.open().map(|(index, message, _)| (index, message)).collect();
        let part = RouteBatch { route, messages };
        let indexes: Vec<usize> = part.messages.iter().map(|(index, _)| *index).collect();
        answers.note(&part, indexes.into_iter().zip(outcomes).collect());
    }

    fn sent(parts: &[RouteBatch<'_>]) -> Vec<(Route, Vec<usize>)> {
        let indexes = |part: &RouteBatch<'_>| part.messages.iter().map(|(index, _)| *index).collect();
        parts.iter().map(|part| (part.route, indexes(part))).collect()
    }

    fn refusals(answers: Answers<'_>) -> Vec<Option<PublishErrorKind>> {
        answers.finish().into_iter().map(|result| result.err().map(|error| error.refusal)).collect()
    }

    const LARGE: DeliveryOutcome = DeliveryOutcome::Refused(Code::MessageSizeTooLarge);

    proptest! {
        #[test]
        fn oks_of_a_key_are_a_prefix_whatever_becomes_of_the_messages(
            first in prop::collection::vec(fate(), 1..20),
            second in prop::collection::vec(fate(), 20),
        ) {
            let batch: Vec<Message> =
                (0..first.len()).map(|index| Message::new("t", "{}").with_key(["a", "b"][index % 2])).collect();
            let mut answers = Answers::new(&batch, true);
            note(&mut answers, Route::Common, first);
            note(&mut answers, Route::Alone, second);
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
        let mut answers = Answers::new(&batch, true);
        note(&mut answers, Route::Common, [LARGE, LARGE, DeliveryOutcome::behind()]);
        assert_eq!(
            sent(&answers.parts(|_| None)),
            [(Route::Alone, vec![0])],
            "each waits for the one before"
        );
        answers.note(&answers.parts(|_| None)[0], vec![(0, DeliveryOutcome::Taken)]);
        assert_eq!(sent(&answers.parts(|_| None)), [(Route::Alone, vec![1])]);
        answers.note(&answers.parts(|_| None)[0], vec![(1, LARGE)]);
        assert!(!answers.have_open(), "nothing is sent behind a refused record of its key");
        assert_eq!(
            refusals(answers),
            [None, Some(PublishErrorKind::Rejected), Some(PublishErrorKind::KeyBlocked)]
        );
    }

    #[test]
    fn messages_of_a_key_wait_for_those_on_another_route() {
        let keyed = |key: &str, text: &str| Message::new("t", text.to_owned()).with_key(key.to_owned());
        let batch = [
            keyed("a", "s"),
            keyed("a", "large"),
            keyed("b", "s"),
            keyed("a", "s"),
            Message::new("t", "large"),
        ];
        let route =
            |message: &Message| Some(if message.payload.len() > 1 { Route::Alone } else { Route::Common });
        let mut answers = Answers::new(&batch, true);
        let mut rounds = Vec::new();
        while answers.have_open() {
            let parts = answers.parts(route);
            rounds.push(sent(&parts));
            for part in &parts {
                let taken = part.messages.iter().map(|(index, _)| (*index, DeliveryOutcome::Taken));
                answers.note(part, taken.collect());
            }
        }
        assert_eq!(
            rounds,
            [
                vec![(Route::Common, vec![0, 2]), (Route::Alone, vec![4])],
                vec![(Route::Alone, vec![1])],
                vec![(Route::Common, vec![3])],
            ]
        );
    }

    #[test]
    fn a_known_limit_decides_what_goes_alone_after_a_refusal() {
        let batch: Vec<Message> = (0..2).map(|_| Message::new("t", "{}")).collect();
        let mut answers = Answers::new(&batch, true);
        note(&mut answers, Route::Common, [LARGE, LARGE]);
        let narrow = |_: &Message| Some(Route::Narrow(4));
        assert_eq!(sent(&answers.parts(narrow)), [(Route::Narrow(4), vec![0, 1])]);
        note(&mut answers, Route::Narrow(4), [LARGE, DeliveryOutcome::Taken]);
        assert_eq!(sent(&answers.parts(narrow)), [(Route::Alone, vec![0])], "a limit does not explain it");
        note(&mut answers, Route::Alone, [LARGE]);
        assert_eq!(refusals(answers), [Some(PublishErrorKind::Rejected), None]);
    }

    #[test]
    fn neighbours_of_a_refused_record_are_unavailable_in_the_end() {
        let batch: Vec<Message> = (0..3).map(|_| Message::new("t", "{}")).collect();
        let mut answers = Answers::new(&batch, true);
        note(&mut answers, Route::Common, [LARGE, LARGE, LARGE]);
        assert_eq!(refusals(answers), [Some(PublishErrorKind::Unavailable); 3], "none was sent by itself");
    }

    /// If a broker rejects several records of a request for this machine's clock, the client reports each as an
    /// invalid record. It reports `InvalidTimestamp` only for the single record of a request.
    #[test]
    fn a_record_is_refused_only_when_it_was_sent_by_itself() {
        for code in [Code::InvalidRecord, Code::MessageSizeTooLarge] {
            let batch = [Message::new("t", "{}")];
            let mut answers = Answers::new(&batch, true);
            note(&mut answers, Route::Common, [DeliveryOutcome::Refused(code)]);
            assert!(answers.have_open(), "another call may have sent what was refused");
            let clock = DeliveryOutcome::of(&KafkaError::MessageProduction(Code::InvalidTimestamp));
            note(&mut answers, Route::Alone, [clock]);
            let refusal = answers.finish().remove(0).map_err(|error| error.refusal);
            assert_eq!(refusal, Err(PublishErrorKind::Unavailable), "a clock is an outage");
        }
    }
}
