//! Topics that the broker does not accept at the moment. Pure: no clock and no broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::publish_batch::Outage;
use crate::Backoff;

/// After this time without an answer, a topic is not read any more and the other topics of its shards continue.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// A topic without an answer for this long is reported. The first event of a topic waits until the broker has created it, which
/// takes a busy broker some seconds, and no repair is needed then.
const SLOW: Duration = Duration::from_secs(10);
/// A topic without news for this long after its last pause is healthy again.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// The paused topics and the ends of their pauses. Times count from the start of the relay.
pub(super) struct Topics {
    outage: Backoff,
    no_room: Backoff,
    troubled: BTreeMap<Arc<str>, Trouble>,
}

/// The trouble of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) error: String,
    pub(super) since: Duration,
    /// Number of consecutive pauses.
    outages: u32,
    /// Number of those pauses that a full queue caused.
    full: u32,
    /// The current pause.
    pause: Pause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    Until(Duration),
    /// Until the calls in flight are answered.
    Unanswered,
    /// The pause ended at this time; the next answer decides.
    Over(Duration),
}

impl Trouble {
    /// Returns whether an operator has to know: the broker has refused an event, or has been silent for a while.
    pub(super) fn is_alarming(&self, now: Duration) -> bool {
        let is_refused = self.outages + self.full > 0;
        is_refused || (self.pause == Pause::Unanswered && self.since + SLOW <= now)
    }
}

impl Topics {
    pub(super) fn new(outage: Backoff, no_room: Backoff) -> Self {
        Self { outage, no_room, troubled: BTreeMap::new() }
    }

    pub(super) fn is_paused(&self, topic: &str) -> bool {
        self.troubled.get(topic).is_some_and(|trouble| !matches!(trouble.pause, Pause::Over(_)))
    }

    pub(super) fn paused(&self) -> Vec<Arc<str>> {
        self.troubled.keys().filter(|topic| self.is_paused(topic)).cloned().collect()
    }

    pub(super) fn troubled(&self) -> &BTreeMap<Arc<str>, Trouble> {
        &self.troubled
    }

    /// Records that a call has had no answer since `started`.
    pub(super) fn unanswered(&mut self, topic: &Arc<str>, started: Duration) {
        let trouble = self.troubled.entry(topic.clone()).or_insert_with(|| Trouble {
            error: "broker does not answer".to_owned(),
            since: started,
            outages: 0,
            full: 0,
            pause: Pause::Unanswered,
        });
        trouble.pause = Pause::Unanswered;
    }

    /// Records that every call is answered; returns whether reads may have skipped events meanwhile.
    pub(super) fn answered(&mut self, topic: &str, now: Duration) -> bool {
        let Some(trouble) = self.troubled.get_mut(topic) else { return false };
        let was_unanswered = trouble.pause == Pause::Unanswered;
        if was_unanswered {
            trouble.pause = Pause::Over(now);
        }
        was_unanswered
    }

    /// Records an outage: the topic is not read for a while. Failures of other calls in flight do not extend the pause.
    pub(super) fn failed(&mut self, topic: &Arc<str>, now: Duration, outage: Outage) {
        let trouble = self.troubled.entry(topic.clone()).or_insert_with(|| Trouble {
            error: String::new(),
            since: now,
            outages: 0,
            full: 0,
            pause: Pause::Over(now),
        });
        trouble.error = outage.error;
        let is_first = !matches!(trouble.pause, Pause::Until(_));
        if is_first && outage.is_full {
            trouble.full += 1;
            trouble.pause = Pause::Until(now + self.no_room.delay(trouble.full));
        } else if is_first {
            trouble.outages += 1;
            trouble.pause = Pause::Until(now + self.outage.delay(trouble.outages));
        }
    }

    /// Records that the broker accepted an event of a topic. It ends a full queue's trouble only if the queue has reported
    /// nothing for a while.
    pub(super) fn took(&mut self, topic: &str, now: Duration) {
        let Some(trouble) = self.troubled.get(topic) else { return };
        let is_over = match trouble.pause {
            Pause::Over(over) => trouble.full == 0 || over + FORGOTTEN <= now,
            Pause::Until(_) | Pause::Unanswered => false,
        };
        if is_over {
            self.troubled.remove(topic);
        }
    }

    /// Ends the pauses whose time is over; returns whether there were any.
    pub(super) fn resume(&mut self, now: Duration) -> bool {
        let mut resumed = false;
        for trouble in self.troubled.values_mut() {
            if matches!(trouble.pause, Pause::Until(until) if until <= now) {
                trouble.pause = Pause::Over(now);
                resumed = true;
            }
        }
        resumed
    }

    /// Removes topics without new or in-flight events: another relay may have published them.
    pub(super) fn forget(&mut self, now: Duration, is_in_flight: impl Fn(&str) -> bool) {
        let is_over =
            |trouble: &Trouble| matches!(trouble.pause, Pause::Over(over) if over + FORGOTTEN <= now);
        self.troubled.retain(|topic, trouble| !is_over(trouble) || is_in_flight(topic));
    }

    /// Returns the end of the next pause.
    pub(super) fn next(&self) -> Option<Duration> {
        let ends = self.troubled.values().filter_map(|trouble| match trouble.pause {
            Pause::Until(until) => Some(until),
            Pause::Unanswered | Pause::Over(_) => None,
        });
        ends.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        let no_room = Backoff::new(ms(1_000), 2.0, ms(30_000));
        Topics::new(Backoff::new(ms(50), 2.0, ms(2_000)), no_room)
    }

    fn refused(is_full: bool) -> Outage {
        Outage { error: "not now".to_owned(), is_full }
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn pauses_grow_during_an_outage_and_parallel_calls_count_once() {
        let mut topics = topics();
        let orders: Arc<str> = Arc::from("orders");
        let mut now = ms(0);
        for outage in 0..12 {
            for _ in 0..3 {
                topics.failed(&orders, now, refused(false));
            }
            assert!(topics.is_paused("orders") && !topics.is_paused("others"));
            let longest = ms(50 << outage).min(ms(2_000));
            let until = topics.next().unwrap();
            assert!(now + longest / 2 <= until && until <= now + longest, "{outage}: {until:?}");
            assert!(!topics.resume(until - ms(1)));
            assert!(topics.resume(until) && !topics.is_paused("orders"));
            now = until;
        }
        assert_eq!(topics.troubled()["orders"].since, ms(0));
        topics.took("orders", now);
        assert!(topics.troubled().is_empty());
    }

    #[test]
    fn topic_without_an_answer_is_paused_until_it_comes() {
        let mut topics = topics();
        let orders: Arc<str> = Arc::from("orders");
        topics.unanswered(&orders, ms(3));
        assert!(topics.is_paused("orders") && topics.next().is_none());
        topics.took("orders", ms(5));
        assert!(topics.is_paused("orders"), "another call is still unanswered");
        assert!(topics.answered("orders", ms(9)) && !topics.answered("orders", ms(9)));
        topics.forget(ms(10), |_| false);
        assert_eq!(topics.troubled().len(), 1);
        topics.forget(ms(60_000), |topic| topic == "orders");
        assert_eq!(topics.troubled().len(), 1, "a call for it is in flight");
        topics.forget(ms(60_000), |topic| topic == "others");
        assert!(topics.troubled().is_empty());
    }

    #[test]
    fn broker_is_reported_once_it_refuses_or_is_silent_for_a_while() {
        let mut topics = topics();
        let orders: Arc<str> = Arc::from("orders");
        topics.unanswered(&orders, ms(3));
        let is_alarming = |topics: &Topics, now| topics.troubled()["orders"].is_alarming(ms(now));
        assert!(!is_alarming(&topics, 10_002) && is_alarming(&topics, 10_003));
        topics.answered("orders", ms(20_000));
        assert!(!is_alarming(&topics, 20_000), "it was slow");
        topics.failed(&orders, ms(20_000), refused(false));
        assert!(is_alarming(&topics, 20_000));
    }

    #[test]
    fn a_full_queue_is_asked_less_often_than_a_broker_that_is_away() {
        let mut topics = topics();
        let orders: Arc<str> = Arc::from("orders");
        topics.failed(&orders, ms(0), refused(false));
        let mut now = topics.next().unwrap();
        for longest in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            assert!(topics.resume(now));
            topics.failed(&orders, now, refused(true));
            let until = topics.next().unwrap();
            assert!(now + ms(longest / 2) <= until && until <= now + ms(longest), "{now:?} {until:?}");
            now = until;
        }
        assert!(topics.resume(now));
        topics.took("orders", now + ms(9_000));
        assert_eq!(topics.troubled().len(), 1, "another queue has room");
        now += ms(10_000);
        topics.took("orders", now);
        assert!(topics.troubled().is_empty());
        topics.failed(&orders, now, refused(true));
        assert!(topics.next().unwrap() <= now + ms(1_000), "once there was room it begins anew");
    }
}
