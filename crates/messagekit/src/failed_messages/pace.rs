//! Retries of many failed messages, spread over time.

use std::time::Duration;

use crate::{Error, ErrorKind};

/// Spreads the retries of a request over time, so that what failed together does not return together.
///
/// ```
/// use std::time::Duration;
/// use messagekit::operations::Pace;
///
/// let pace = Pace::per_second(100)?;
/// assert_eq!([pace.delay(0), pace.delay(1), pace.delay(50)].map(|delay| delay.as_millis()), [0, 10, 500]);
/// // 500 were accepted in a first request, which was sent 2 seconds ago.
/// assert_eq!(pace.behind(500, Duration::from_secs(2)).delay(0), Duration::from_secs(3));
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    first: Duration,
    every: Duration,
}

impl Pace {
    /// The most retries per second.
    pub const MAX: u32 = 1_000_000;

    /// At most `retries` become due per second.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for 0 and for more than [`MAX`](Self::MAX).
    pub fn per_second(retries: u32) -> Result<Self, Error> {
        if !(1..=Self::MAX).contains(&retries) {
            let text = format!("retries per second are a number from 1 to {}", Self::MAX);
            return Err(Error::new(ErrorKind::InvalidConfiguration, text).with("per_second", retries));
        }
        Ok(Self { first: Duration::ZERO, every: Duration::from_secs(1) / retries })
    }

    /// Returns the pace of a further request of the same selection: the requests before have accepted `accepted` retries,
    /// and the first of them was sent `elapsed` ago.
    #[must_use]
    pub fn behind(self, accepted: usize, elapsed: Duration) -> Self {
        Self { first: self.delay(accepted).saturating_sub(elapsed), ..self }
    }

    /// Returns when the retry of this rank is due, as a time after the request. The first has rank 0.
    pub fn delay(&self, rank: usize) -> Duration {
        let rank = u32::try_from(rank).unwrap_or(u32::MAX);
        self.first.saturating_add(self.every.saturating_mul(rank))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_a_selection_join_without_a_gap() {
        let pace = Pace::per_second(3).unwrap();
        let further = pace.behind(500, Duration::ZERO);
        assert_eq!(further.delay(0), pace.delay(500));
        assert_eq!(further.delay(7), pace.delay(507));
        assert_eq!(
            pace.behind(1, Duration::from_secs(60)).delay(0),
            Duration::ZERO,
            "a slow tool is not early"
        );
    }

    #[test]
    fn pace_that_no_clock_can_keep_is_refused() {
        for retries in [0, Pace::MAX + 1, u32::MAX] {
            let error = Pace::per_second(retries).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
            assert!(error.to_string().contains("from 1 to 1000000"), "{error}");
        }
        let slowest = Pace::per_second(1).unwrap();
        assert_eq!(slowest.delay(usize::MAX), Duration::from_secs(u32::MAX.into()));
    }
}
