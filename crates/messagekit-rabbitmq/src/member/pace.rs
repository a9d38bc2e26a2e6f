//! Chooses the prefetch of one queue, and the pause before it is read again. Pure: no client and no clock.

use std::time::Duration;

use crate::link::Pause;

/// The pace of one queue.
///
/// A message may be the cause of a connection that ended for no known reason, and every prefetched message counted a
/// delivery. So the next consumer of the queue has a prefetch of 1, and only the head of the queue counts; the
/// following ones have 2, 4, … up to the configured prefetch. A successful connection proves nothing: the pauses of a
/// queue grow until one of its messages is settled.
///
/// The prefetch of a consumer is fixed, so another prefetch requires another consumer. As soon as a consumer is
/// cancelled, a queue with a single active consumer serves another member the messages after those of the cancelled
/// one. So a consumer is replaced only while its prefetch is used up, and all of those messages are settled and none
/// is acknowledged. Then no message is in flight and none is overtaken.
#[derive(Debug)]
pub(super) struct Pace {
    configured: u16,
    prefetch: u16,
    /// Messages that were received and not acknowledged.
    unacknowledged: usize,
    /// The settled ones among them.
    settled: usize,
    pause: Pause,
}

/// The next step after messages were settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Acknowledge all settled messages.
    Acknowledge,
    /// Acknowledge nothing yet: other messages are being handled.
    Wait,
    /// Cancel the consumer, then acknowledge everything, then consume with the new prefetch.
    Replace,
}

impl Pace {
    pub(super) fn new(prefetch: u16) -> Self {
        Self { configured: prefetch, prefetch, unacknowledged: 0, settled: 0, pause: Pause::default() }
    }

    /// Returns how many messages the next consumer may have unacknowledged.
    pub(super) fn prefetch(&self) -> u16 {
        self.prefetch
    }

    /// Returns how long to wait until the queue is read again.
    pub(super) fn pause(&mut self) -> Duration {
        self.pause.next()
    }

    /// Resets the counts: the queue has a new channel, and the unacknowledged messages of the last one are delivered
    /// again.
    pub(super) fn opened(&mut self) {
        (self.unacknowledged, self.settled) = (0, 0);
    }

    pub(super) fn delivered(&mut self) {
        self.unacknowledged += 1;
    }

    /// Records that messages were settled, and returns the next step.
    pub(super) fn settled(&mut self, messages: usize) -> Next {
        self.pause.reset();
        self.settled += messages;
        let is_narrow = self.prefetch < self.configured;
        if is_narrow && self.settled < self.unacknowledged {
            return Next::Wait;
        }
        let is_full = self.unacknowledged >= usize::from(self.prefetch);
        self.unacknowledged = self.unacknowledged.saturating_sub(self.settled);
        self.settled = 0;
        if !(is_narrow && is_full) {
            return Next::Acknowledge;
        }
        self.prefetch = self.prefetch.saturating_mul(2).min(self.configured);
        Next::Replace
    }

    /// Restarts at a prefetch of 1, after a connection on which the queue was read has ended without a reason.
    pub(super) fn ended_unexplained(&mut self) {
        self.prefetch = 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Receives as many messages as the prefetch allows, and settles them at once.
    fn round(pace: &mut Pace) -> Next {
        (0..pace.prefetch()).for_each(|_| pace.delivered());
        pace.settled(pace.prefetch().into())
    }

    #[test]
    fn prefetch_restarts_at_one_after_an_unexplained_end_and_grows() {
        let mut pace = Pace::new(10);
        assert_eq!(round(&mut pace), Next::Acknowledge);
        pace.ended_unexplained();
        pace.opened();
        for prefetch in [1, 2, 4, 8] {
            assert_eq!((pace.prefetch(), round(&mut pace)), (prefetch, Next::Replace));
        }
        assert_eq!((pace.prefetch(), round(&mut pace)), (10, Next::Acknowledge));
        pace.ended_unexplained();
        assert_eq!(pace.prefetch(), 1);
    }

    #[test]
    fn acknowledgements_wait_only_for_messages_being_handled() {
        let mut pace = Pace::new(100);
        pace.ended_unexplained();
        round(&mut pace);
        round(&mut pace);
        (0..4).for_each(|_| pace.delivered());
        assert_eq!(
            (pace.settled(1), pace.settled(2), pace.settled(1)),
            (Next::Wait, Next::Wait, Next::Replace)
        );
        // Three of at most eight have arrived: the others may be in flight.
        (0..3).for_each(|_| pace.delivered());
        assert_eq!((pace.settled(2), pace.settled(1)), (Next::Wait, Next::Acknowledge));
        assert_eq!(pace.prefetch(), 8);
    }

    #[test]
    fn what_was_here_on_another_channel_does_not_count() {
        let mut pace = Pace::new(100);
        pace.ended_unexplained();
        round(&mut pace);
        pace.delivered();
        pace.opened();
        pace.delivered();
        assert_eq!(pace.settled(1), Next::Acknowledge);
    }

    #[test]
    fn pauses_grow_until_something_is_settled() {
        let mut pace = Pace::new(1);
        let later = (0..50).map(|_| pace.pause()).last().unwrap();
        assert!(later >= Duration::from_millis(2_500), "{later:?}");
        pace.ended_unexplained();
        assert!(pace.pause() >= Duration::from_millis(2_500));
        pace.settled(1);
        assert!(pace.pause() <= Duration::from_millis(50));
    }

    proptest! {
        /// The broker's view of a consumer: how many sent messages are not acknowledged.
        #[test]
        fn a_broker_consumer_is_replaced_only_when_all_is_settled(
            configured in 1_u16..40, steps in prop::collection::vec((any::<bool>(), 1_usize..9), 1..300)
        ) {
            let mut pace = Pace::new(configured);
            pace.ended_unexplained();
            pace.opened();
            let (mut sent, mut here, mut handled) = (0, 0, 0);
            for (arrives, count) in steps {
                sent = pace.prefetch().into();
                if arrives {
                    let arriving = count.min(sent - here);
                    (0..arriving).for_each(|_| pace.delivered());
                    here += arriving;
                    continue;
                }
                let settled = count.min(here - handled);
                if settled == 0 {
                    continue;
                }
                handled += settled;
                match pace.settled(settled) {
                    Next::Wait => prop_assert!(handled < here, "an acknowledgement waits for nothing"),
                    Next::Acknowledge => (here, handled) = (here - handled, 0),
                    Next::Replace => {
                        prop_assert_eq!((here, handled), (sent, sent));
                        prop_assert!(usize::from(pace.prefetch()) > sent);
                        (here, handled) = (0, 0);
                    }
                }
            }
            prop_assert!(here <= sent);
        }
    }
}
