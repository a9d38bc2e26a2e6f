//! The number of events of the next read. Pure: no clock, no database and no broker.

use std::time::Duration;

use super::topics::PATIENCE;

/// Number of events that a read requests without a backlog, and after an error.
const LEAST: u32 = 500;
/// The most bytes that a read of more than [`LEAST`] events is expected to return: payloads, keys and headers. More of them made a drain
/// no faster and took more memory (`docs/tuning.md`).
const LARGE: usize = 5 << 18;
/// The most time that a call with more than [`LEAST`] events is expected to take, well below that of an overdue call.
const SLOW: Duration = PATIENCE.checked_div(4).unwrap();

/// The number of events that a read requests.
///
/// A full page shows a backlog, for which large pages cost less. It at most doubles the next one, because the bytes of a page are
/// known only when it has been read, and not before the broker has shown that it takes as many in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AdaptivePage {
    events: u32,
    most: u32,
    /// Number of events that the broker confirms within [`SLOW`], as far as calls have shown.
    in_time: u32,
}

impl AdaptivePage {
    /// Starts with few events, and never requests more than `most`.
    pub(super) fn new(most: u32) -> Self {
        Self { events: LEAST.min(most), most, in_time: LEAST }
    }

    /// Returns the number of events of the next read.
    pub(super) fn events(self) -> u32 {
        self.events
    }

    /// Learns from a page: its events, their bytes, and whether the outbox has more.
    pub(super) fn read(&mut self, events: usize, bytes: usize, more: bool) {
        let average = bytes.div_ceil(events.max(1)).max(1);
        let would_fit = u32::try_from(LARGE / average).unwrap_or(u32::MAX);
        let next = if more { self.events.saturating_mul(2).min(would_fit) } else { LEAST };
        self.set(next);
    }

    /// Starts again: a read got no answer.
    pub(super) fn unanswered(&mut self) {
        self.set(LEAST);
    }

    /// Learns from a call: its confirmed events and its time. A short call with few events says nothing of a long one.
    pub(super) fn published(&mut self, confirmed: usize, took: Duration) {
        let pace = SLOW.as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
        let would_confirm = (confirmed as f64 * pace) as u32;
        self.in_time = match took > SLOW {
            true => self.in_time.min(would_confirm).max(LEAST),
            false => self.in_time.max(would_confirm.min(self.in_time.saturating_mul(2))),
        };
        self.set(self.events);
    }

    fn set(&mut self, events: u32) {
        self.events = events.min(self.in_time).max(LEAST).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: u32 = 2_000;
    /// What one read of an outbox returns at most.
    const OF_A_READ: usize = 8 << 20;

    /// Reads one page of a backlog of `pending` events with `size` bytes each, and returns its events.
    fn read(page: &mut AdaptivePage, pending: usize, size: usize) -> usize {
        let requested = (page.events() as usize).min(pending);
        let events = requested.min((OF_A_READ / size).max(1));
        page.read(events, events * size, events < pending);
        events
    }

    /// Publishes pages of a long backlog to a broker that needs `each` per event, and returns the sizes of the next ones.
    fn sizes(page: &mut AdaptivePage, pages: usize, size: usize, each: Duration) -> Vec<u32> {
        let next = |_| {
            let events = read(page, usize::MAX, size);
            page.published(events, each * events as u32);
            read(page, usize::MAX, size);
            page.events()
        };
        (0..pages).map(next).collect()
    }

    const QUICK: Duration = Duration::from_micros(20);

    #[test]
    fn pages_of_a_backlog_double_up_to_the_most() {
        let mut page = AdaptivePage::new(MOST);
        assert_eq!(page.events(), 500);
        assert_eq!(sizes(&mut page, 4, 600, QUICK), [1_000, 2_000, 2_000, 2_000]);
        let mut page = AdaptivePage::new(700);
        assert_eq!(sizes(&mut page, 2, 1_200, QUICK), [700, 700]);
    }

    #[test]
    fn pages_never_hold_more_than_the_most_however_small_it_is() {
        for most in [1, 20, 499, 500] {
            let mut page = AdaptivePage::new(most);
            assert_eq!(sizes(&mut page, 3, 1_200, QUICK), [most; 3]);
        }
    }

    #[test]
    fn pages_without_a_backlog_are_small() {
        let mut page = AdaptivePage::new(MOST);
        for pending in [0, 1, 499] {
            read(&mut page, pending, 1_200);
            assert_eq!(page.events(), 500, "{pending} pending");
        }
        sizes(&mut page, 3, 1_200, QUICK);
        read(&mut page, 1_000, 1_200);
        assert_eq!(page.events(), 500, "the backlog has ended");
    }

    #[test]
    fn pages_of_large_events_do_not_grow() {
        let mut page = AdaptivePage::new(MOST);
        assert_eq!(sizes(&mut page, 2, 1 << 20, QUICK), [500, 500], "a read cuts them at its own limit");
        let mut page = AdaptivePage::new(MOST);
        assert_eq!(sizes(&mut page, 3, 2 << 10, QUICK), [640; 3], "1.25 MiB hold 640 of 2 KiB");
    }

    #[test]
    fn events_that_become_large_shorten_the_next_page() {
        let mut page = AdaptivePage::new(MOST);
        sizes(&mut page, 3, 1_200, QUICK);
        read(&mut page, usize::MAX, 2_000);
        assert_eq!(page.events(), 655);
        read(&mut page, usize::MAX, 100_000);
        assert_eq!(page.events(), 500);
    }

    #[test]
    fn read_without_an_answer_starts_again() {
        let mut page = AdaptivePage::new(MOST);
        sizes(&mut page, 3, 1_200, QUICK);
        page.unanswered();
        assert_eq!(page.events(), 500);
    }

    #[test]
    fn pages_do_not_grow_before_a_call_is_confirmed() {
        let mut page = AdaptivePage::new(MOST);
        for _ in 0..4 {
            read(&mut page, usize::MAX, 1_200);
        }
        page.published(0, Duration::from_millis(1));
        read(&mut page, usize::MAX, 1_200);
        assert_eq!(page.events(), 500);
    }

    #[test]
    fn slow_broker_gets_as_many_events_as_it_confirms_in_time() {
        let mut page = AdaptivePage::new(MOST);
        let each = Duration::from_micros(250);
        assert_eq!(sizes(&mut page, 3, 1_200, each), [1_000; 3]);
        let mut page = AdaptivePage::new(MOST);
        assert_eq!(sizes(&mut page, 2, 1_200, Duration::from_millis(10)), [500; 2]);
        sizes(&mut page, 3, 1_200, QUICK);
        page.published(2_000, Duration::from_secs(1));
        assert_eq!(page.events(), 500, "a broker that has become slow");
    }

    #[test]
    fn small_calls_of_other_topics_do_not_shorten_pages() {
        let mut page = AdaptivePage::new(MOST);
        sizes(&mut page, 3, 600, QUICK);
        page.published(1, Duration::from_millis(3));
        assert_eq!(page.events(), 2_000);
    }

    proptest! {
        /// Above the least page, a page is expected to hold the bytes of a large one at most, and to be confirmed in time.
        #[test]
        fn grown_pages_are_bounded_by_bytes_and_time_and_by_the_most(
            most in 1_u32..5_000,
            backlog in prop::collection::vec((0_usize..10_000, 1_usize..2_000_000, 1_u64..3_000), 1..40),
        ) {
            let mut page = AdaptivePage::new(most);
            for (pending, size, each) in backlog {
                let before = page.events();
                let events = read(&mut page, pending, size);
                prop_assert!(page.events() <= before.max(LEAST.min(most)).saturating_mul(2));
                let each = Duration::from_micros(each);
                page.published(events, each * events as u32);
                let next = page.events();
                prop_assert!((LEAST.min(most)..=most).contains(&next));
                prop_assert!(next <= LEAST || events == 0 || next as usize * size <= LARGE);
                // The call itself may have been short.
                prop_assert!(next <= LEAST || each * events as u32 <= SLOW || each * next <= SLOW + each);
            }
        }
    }
}
