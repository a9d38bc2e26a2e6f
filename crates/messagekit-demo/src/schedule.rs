//! The times at which the billing service is killed.

use crate::progress::Look;

/// How often the service is killed.
pub(crate) const KILLS: u64 = 5;
/// With this many waiting records and no failed message being retried, a kill interrupts work.
const BACKLOG: i64 = 20;

/// The kills of the service, by the number of handled records: spread over the run, after the service has started.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// In reverse order: the next one is last.
    at: Vec<i64>,
    /// How many records after the planned number to wait for a better moment.
    patience: i64,
}

impl Schedule {
    /// Plans kills for a number of records.
    pub(crate) fn new(records: u64, seed: u64) -> Self {
        // A different random sequence from that of the rollbacks.
        let mut random = fastrand::Rng::with_seed(!seed);
        let share = |kill: u64| (kill as f64 + random.f64() / 2.0 - 0.25) / (KILLS + 1) as f64;
        let at = (1..=KILLS).map(share).map(|share| (records as f64 * share) as i64).rev().collect();
        Self { at, patience: (records / (4 * (KILLS + 1))) as i64 }
    }

    /// Returns whether a kill is due that interrupts work. A failed message in a retry would wait for the end of its
    /// lease.
    pub(crate) fn is_due(&self, now: &Look) -> bool {
        let waiting = now.records - now.handled;
        let good = waiting >= BACKLOG && now.running_failed_messages == 0;
        self.at.last().is_some_and(|at| {
            waiting > 0 && (now.handled >= at + self.patience || now.handled >= *at && good)
        })
    }

    /// Goes on to the next kill.
    pub(crate) fn done(&mut self) {
        self.at.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_spread_over_the_run_and_never_at_its_end() {
        for seed in 0..50 {
            let Schedule { mut at, .. } = Schedule::new(6_000, seed);
            at.reverse();
            assert!(at.is_sorted() && at[0] > 0 && at[4] <= 5_250, "{at:?}");
        }
    }

    #[test]
    fn a_kill_waits_for_a_backlog_and_then_for_any_work() {
        let schedule = Schedule { at: vec![100], patience: 50 };
        let look = |handled, waiting| Look { handled, records: handled + waiting, ..Look::default() };
        assert!(!schedule.is_due(&look(99, 500)));
        assert!(schedule.is_due(&look(100, BACKLOG)));
        assert!(!schedule.is_due(&look(120, 1)));
        assert!(schedule.is_due(&look(150, 1)));
        assert!(!schedule.is_due(&Look { running_failed_messages: 1, ..look(120, 500) }));
        assert!(schedule.is_due(&Look { running_failed_messages: 1, ..look(150, 500) }));
        assert!(!schedule.is_due(&look(150, 0)));
    }
}
