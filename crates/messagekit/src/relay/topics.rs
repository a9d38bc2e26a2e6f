//! Topics that the broker does not take at the moment. Pure: no clock and no broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::Backoff;

/// After so long without an answer a topic is not asked for any more: the others of its slices go on.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// A topic of which nothing was heard for so long after its last pause is in no trouble.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// Which topics are paused, and until when. Times count from the start of the relay.
pub(super) struct Topics {
    backoff: Backoff,
    troubled: BTreeMap<Arc<str>, Trouble>,
}

/// What is wrong with a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) error: String,
    pub(super) since: Duration,
    /// How many pauses there were in a row.
    outages: u32,
    /// How long nothing of it is read.
    pause: Pause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    Until(Duration),
    /// Until what is under way is answered.
    Unanswered,
    /// It is over since then; the next answer decides.
    Over(Duration),
}

impl Topics {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, troubled: BTreeMap::new() }
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

    /// Notes that a call is without an answer since `started`.
    pub(super) fn unanswered(&mut self, topic: &Arc<str>, started: Duration) {
        let trouble = self.troubled.entry(topic.clone()).or_insert_with(|| Trouble {
            error: "broker does not answer".to_owned(),
            since: started,
            outages: 0,
            pause: Pause::Unanswered,
        });
        trouble.pause = Pause::Unanswered;
    }

    /// Notes that every call is answered; returns whether something may have been passed over meanwhile.
    pub(super) fn answered(&mut self, topic: &str, now: Duration) -> bool {
        let Some(trouble) = self.troubled.get_mut(topic) else { return false };
        let was_unanswered = trouble.pause == Pause::Unanswered;
        if was_unanswered {
            trouble.pause = Pause::Over(now);
        }
        was_unanswered
    }

    /// Notes an outage: nothing of the topic is read for a while. What was under way beside it does not make it longer.
    pub(super) fn failed(&mut self, topic: &Arc<str>, now: Duration, error: String) {
        let trouble = self.troubled.entry(topic.clone()).or_insert_with(|| Trouble {
            error: String::new(),
            since: now,
            outages: 0,
            pause: Pause::Over(now),
        });
        trouble.error = error;
        if !matches!(trouble.pause, Pause::Until(_)) {
            trouble.outages += 1;
            trouble.pause = Pause::Until(now + self.backoff.delay(trouble.outages));
        }
    }

    /// Notes that the broker took something of a topic.
    pub(super) fn took(&mut self, topic: &str) {
        if !self.is_paused(topic) {
            self.troubled.remove(topic);
        }
    }

    /// Ends the pauses that are over; returns whether there were any.
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

    /// Forgets topics of which nothing came any more, somebody else may have published it.
    pub(super) fn forget(&mut self, now: Duration) {
        self.troubled
            .retain(|_, trouble| !matches!(trouble.pause, Pause::Over(over) if over + FORGOTTEN <= now));
    }

    /// Returns when the next pause ends.
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

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn pauses_grow_while_the_outage_lasts_and_calls_of_one_moment_count_once() {
        let mut topics = Topics::new(Backoff::new(ms(50), 2.0, ms(2_000)));
        let orders: Arc<str> = Arc::from("orders");
        let mut now = ms(0);
        for outage in 0..12 {
            for _ in 0..3 {
                topics.failed(&orders, now, "full".to_owned());
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
        topics.took("orders");
        assert!(topics.troubled().is_empty());
    }

    #[test]
    fn an_unanswered_topic_is_paused_until_the_answer() {
        let mut topics = Topics::new(Backoff::new(ms(50), 2.0, ms(2_000)));
        let orders: Arc<str> = Arc::from("orders");
        topics.unanswered(&orders, ms(3));
        assert!(topics.is_paused("orders") && topics.next().is_none());
        topics.took("orders");
        assert!(topics.is_paused("orders"), "another call is still unanswered");
        assert!(topics.answered("orders", ms(9)) && !topics.answered("orders", ms(9)));
        topics.forget(ms(10));
        assert_eq!(topics.troubled().len(), 1);
        topics.forget(ms(60_000));
        assert!(topics.troubled().is_empty());
    }
}
