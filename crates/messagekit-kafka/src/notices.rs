//! Limits how often an error is reported.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::unavailable;

/// The interval at which a lasting error is reported again.
const INTERVAL: Duration = Duration::from_secs(5);

/// Remembers reported errors: an unreachable broker fails many times per second.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    told: HashMap<(i32, String), Instant>,
}

impl Notices {
    /// Returns the error to report, or `None` if it was reported recently. A missing topic is reported once.
    pub(crate) fn of(&mut self, error: &KafkaError, reason: &str, now: Instant) -> Option<Error> {
        let code = error.rdkafka_error_code();
        let absent = matches!(code, Some(Code::UnknownTopicOrPartition | Code::UnknownTopic));
        let key =
            (code.map_or(0, |code| code as i32), if absent { reason.to_owned() } else { String::new() });
        if absent && self.told.contains_key(&key) || !self.is_due(key, now) {
            return None;
        }
        if code == Some(Code::AllBrokersDown) {
            let text = "no broker answers: start kafka or correct its address";
            return Some(Error::new(ErrorKind::Unavailable, text));
        }
        let text = match (absent, reason.is_empty()) {
            (true, _) => format!("topic is not there yet and is waited for: {reason}"),
            (false, false) => format!("kafka: {reason}"),
            (false, true) => "kafka did not do what was asked".to_owned(),
        };
        Some(unavailable(text, error.clone()))
    }

    /// Returns whether an error was not reported recently. Its key is the code and the text that distinguish it.
    pub(crate) fn is_due(&mut self, key: (i32, String), now: Instant) -> bool {
        let is_due = self.told.get(&key).is_none_or(|told| now.duration_since(*told) >= INTERVAL);
        if is_due {
            self.told.insert(key, now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lasting_error_is_reported_again_after_an_interval() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        let down = KafkaError::MessageConsumption(Code::AllBrokersDown);
        let mut told = |after: Duration| notices.of(&down, "1/1 brokers are down", start + after).is_some();
        assert!(told(Duration::ZERO));
        assert!(!told(INTERVAL / 2));
        assert!(told(INTERVAL));
    }

    #[test]
    fn an_absent_topic_is_reported_once() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        let absent = KafkaError::MessageConsumption(Code::UnknownTopicOrPartition);
        let mut told = |topic: &str, after| notices.of(&absent, topic, start + after).is_some();
        assert!(told("orders", Duration::ZERO));
        assert!(!told("orders", INTERVAL * 100));
        assert!(told("bills", INTERVAL));
    }

    #[test]
    fn reported_error_is_transient_and_names_the_cure() {
        for (code, said) in [(Code::AllBrokersDown, "start kafka"), (Code::RequestTimedOut, "kafka: slow")] {
            let told = Notices::default().of(&KafkaError::MessageConsumption(code), "slow", Instant::now());
            let told = told.expect("it is new");
            assert!(told.is_transient());
            assert!(told.to_string().contains(said), "{told}");
        }
    }
}
