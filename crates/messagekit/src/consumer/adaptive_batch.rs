//! The number of messages that fit into the time limit of a transaction.

use std::ops::Range;
use std::time::Duration;

/// The number of messages of a lane that ran before the time limit. A transaction must give back all claims beyond it.
///
/// One slow transaction at most halves it, because a short pause of the machine says little about the handlers. It grows to the
/// number that would have fitted at the pace of a completed range, but at most doubles, which limits useless claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AdaptiveBatch(Option<usize>);

impl AdaptiveBatch {
    /// Returns the maximum number of messages for a transaction.
    pub(super) fn most(self) -> usize {
        self.0.unwrap_or(usize::MAX)
    }

    /// Shortens a range to the maximum.
    pub(super) fn shortened(self, range: Range<usize>) -> Range<usize> {
        range.start..range.end.min(range.start.saturating_add(self.most()))
    }

    /// Learns from a transaction: how far the range was committed, and the time of its handlers against their limit.
    pub(super) fn learn(&mut self, range: &Range<usize>, through: usize, took: Duration, limit: Duration) {
        let (length, ran) = (range.len(), through.saturating_sub(range.start));
        self.0 = match self.0 {
            // It may have ended early for another reason.
            known if ran < length && took < limit => known,
            known if ran < length => Some(ran.max(known.unwrap_or(length) / 2).max(1)),
            Some(most) if length >= most => {
                let pace = limit.as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
                let would_fit = (length as f64 * pace) as usize;
                Some(would_fit.clamp(most, most.saturating_mul(2)))
            }
            known => known,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    /// Runs a range of messages of which `fit` fit into the time limit.
    fn run(fits: &mut AdaptiveBatch, range: Range<usize>, fit: usize) -> usize {
        let through = range.end.min(range.start + fit);
        let took = LIMIT.mul_f64((through - range.start) as f64 / fit as f64);
        fits.learn(&range, through, took, LIMIT);
        through
    }

    /// Runs a backlog of messages, and returns the number of claims.
    fn claims(messages: usize, batch: usize, fit: usize) -> usize {
        let (mut fits, mut next, mut claims) = (AdaptiveBatch::default(), 0, 0);
        while next < messages {
            let range = fits.shortened(next..messages.min(next + batch));
            claims += range.len();
            next = run(&mut fits, range, fit);
        }
        claims
    }

    /// Returns the number of ranges until complete batches run again.
    fn until_whole(mut fits: AdaptiveBatch, fit: usize) -> usize {
        let shortened = (0..60).take_while(|_| {
            let range = fits.shortened(0..200);
            run(&mut fits, range.clone(), fit);
            range.len() < 200
        });
        shortened.count()
    }

    #[test]
    fn what_always_fits_is_never_shortened() {
        assert_eq!(claims(10_000, 200, 200), 10_000);
        assert_eq!(AdaptiveBatch::default().shortened(3..203), 3..203);
    }

    #[test]
    fn of_slow_handlers_few_messages_are_claimed_in_vain() {
        for fit in [1, 3, 20, 130, 199] {
            let claims = claims(10_000, 200, fit);
            assert!(claims <= 10_000 + 2 * 200, "{fit}: {claims}");
        }
    }

    #[test]
    fn handlers_that_become_faster_get_whole_batches_again() {
        let mut fits = AdaptiveBatch::default();
        for _ in 0..20 {
            let range = fits.shortened(0..200);
            run(&mut fits, range, 3);
        }
        assert_eq!(fits.most(), 3);
        assert!(until_whole(fits, 1_000) <= 7);
    }

    #[test]
    fn a_machine_that_stands_still_once_costs_one_range_a_half() {
        let mut fits = AdaptiveBatch::default();
        fits.learn(&(0..200), 4, LIMIT, LIMIT);
        assert_eq!(fits.most(), 100);
        assert!(until_whole(fits, 400) <= 1);
    }

    #[test]
    fn a_range_that_ended_for_another_reason_says_nothing() {
        let mut fits = AdaptiveBatch::default();
        fits.learn(&(0..200), 3, LIMIT / 10, LIMIT);
        assert_eq!(fits, AdaptiveBatch::default());
    }

    #[test]
    fn a_short_lane_says_nothing_of_what_would_fit() {
        let mut fits = AdaptiveBatch::default();
        run(&mut fits, 0..200, 120);
        run(&mut fits, 0..2, 1_000);
        assert_eq!(fits.most(), 120);
        run(&mut fits, 0..2, 1);
        assert_eq!(fits.most(), 60, "one that is slow halves it");
    }
}
