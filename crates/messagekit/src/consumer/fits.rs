//! How many messages fit into the time of a transaction.

use std::ops::Range;

/// What was learned of a lane: as many as ran before the time was up. What a transaction claims beyond that it has to give back.
///
/// It grows by an eighth with each range that came to its end, so that little is claimed in vain and faster handlers are
/// noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fits(Option<usize>);

impl Fits {
    /// Returns how many messages a transaction should hold at most.
    pub(super) fn most(self) -> usize {
        self.0.unwrap_or(usize::MAX)
    }

    /// Shortens a range to what fits.
    pub(super) fn into(self, range: Range<usize>) -> Range<usize> {
        range.start..range.end.min(range.start.saturating_add(self.most()))
    }

    /// Learns how far a range was committed.
    pub(super) fn learn(&mut self, range: &Range<usize>, through: usize) {
        let (asked, ran) = (range.len(), through.saturating_sub(range.start));
        self.0 = match self.0 {
            _ if ran < asked => Some(ran.max(1)),
            Some(most) if asked >= most => Some(most.saturating_add(most / 8 + 1)),
            known => known,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a backlog of messages of which so many fit, and returns how many claims that took.
    fn claims(messages: usize, batch: usize, fit: usize) -> usize {
        let (mut fits, mut next, mut claims) = (Fits::default(), 0, 0);
        while next < messages {
            let range = fits.into(next..messages.min(next + batch));
            claims += range.len();
            let through = range.end.min(range.start + fit);
            fits.learn(&range, through);
            next = through;
        }
        claims
    }

    #[test]
    fn what_always_fits_is_never_shortened() {
        assert_eq!(claims(10_000, 200, 200), 10_000);
        assert_eq!(Fits::default().into(3..203), 3..203);
    }

    #[test]
    fn of_slow_handlers_few_messages_are_claimed_in_vain() {
        for fit in [1, 3, 20, 130, 199] {
            let claims = claims(10_000, 200, fit);
            assert!(claims <= 10_000 + 10_000 / fit.min(8) + 200, "{fit}: {claims}");
        }
    }

    #[test]
    fn handlers_that_become_faster_get_whole_batches_again() {
        let mut fits = Fits::default();
        fits.learn(&(0..200), 3);
        assert_eq!(fits.most(), 3);
        let ranges = (0..60).take_while(|_| {
            let range = fits.into(0..200);
            fits.learn(&range, range.end);
            range.len() < 200
        });
        assert!(ranges.count() < 40, "{fits:?}");
    }

    #[test]
    fn a_short_lane_says_nothing_of_what_would_fit() {
        let mut fits = Fits::default();
        fits.learn(&(0..200), 50);
        fits.learn(&(0..2), 2);
        assert_eq!(fits.most(), 50);
    }
}
