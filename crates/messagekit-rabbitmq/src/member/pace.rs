//! How fast a subscriber connects and reads after its connections have ended. Pure: no client and no clock.

use std::time::Duration;

use crate::link::Pause;

/// A connection that ended for no known reason may have ended over a message, and everything that was prefetched counted a
/// delivery. So the next one takes messages one by one, and only the head of the queue counts, until as many are settled as
/// are prefetched otherwise. A connection that was opened proves nothing: the pauses grow until something is settled.
#[derive(Debug)]
pub(super) struct Pace {
    pause: Pause,
    prefetch: u16,
    /// So many messages are still to be settled one by one.
    one_by_one: u16,
}

impl Pace {
    pub(super) fn new(prefetch: u16) -> Self {
        Self { pause: Pause::default(), prefetch, one_by_one: 0 }
    }

    /// Returns how many messages of a queue may be here unsettled.
    pub(super) fn prefetch(&self) -> u16 {
        if self.one_by_one > 0 { 1 } else { self.prefetch }
    }

    /// Returns how long to wait before the next attempt.
    pub(super) fn pause(&mut self) -> Duration {
        self.pause.next()
    }

    /// Messages were settled. Answers whether reading one by one has ended with them.
    pub(super) fn settled(&mut self, messages: usize) -> bool {
        self.pause.reset();
        let was = self.one_by_one;
        self.one_by_one = was.saturating_sub(u16::try_from(messages).unwrap_or(u16::MAX));
        was > 0 && self.one_by_one == 0
    }

    /// A connection has ended, and nothing says why.
    pub(super) fn ended_unexplained(&mut self) {
        self.one_by_one = self.prefetch;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_an_unexplained_end_messages_come_one_by_one_until_a_prefetch_of_them_is_settled() {
        let mut pace = Pace::new(3);
        assert_eq!((pace.prefetch(), pace.settled(5)), (3, false));
        pace.ended_unexplained();
        assert_eq!((pace.prefetch(), pace.settled(2), pace.prefetch()), (1, false, 1));
        pace.ended_unexplained();
        assert_eq!((pace.settled(2), pace.prefetch()), (false, 1));
        assert_eq!((pace.settled(9), pace.prefetch(), pace.settled(1)), (true, 3, false));
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
}
