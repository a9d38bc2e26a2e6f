//! The rollbacks and duplicate deliveries of a run, chosen by a seed before it starts.

use crate::invoices::Invoice;

/// The percentage of transactions that are rolled back.
const ROLLED_BACK_PERCENT: u32 = 10;
/// The percentage of committed events that are delivered again.
const AGAIN_PERCENT: u32 = 2;
/// The most orders of a writer between a record and its duplicate.
const LATEST: usize = 60;

/// How the transaction of an order ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Commit,
    /// By a call.
    RollBack,
    /// By dropping it, as a panic or a closed connection does.
    Drop,
}

/// An order to write, and its planned faults.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) invoice: Invoice,
    pub(crate) end: End,
    /// The number of the writer's further orders after which the event is delivered again.
    pub(crate) again_after: Option<usize>,
}

/// The plan of the order service.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) orders: Vec<Planned>,
}

impl Plan {
    /// Plans the run from a seed. The essential faults happen at least once if possible: a rollback, a second
    /// delivery, and a committed adjustment.
    pub(crate) fn new(invoices: Vec<Invoice>, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let orders = invoices.into_iter().map(|invoice| {
            // Always the same number of draws, so that the faults of one order do not depend on those of others.
            let (end, drop, again, after) =
                (random.u32(..100), random.bool(), random.u32(..100), random.usize(1..=LATEST));
            let end = match (end < ROLLED_BACK_PERCENT, drop) {
                (false, _) => End::Commit,
                (true, false) => End::RollBack,
                (true, true) => End::Drop,
            };
            // No handler exists for a foreign type, so a duplicate would prove nothing.
            let again = again < AGAIN_PERCENT && end == End::Commit && !invoice.event.is_foreign();
            Planned { invoice, end, again_after: again.then_some(after) }
        });
        let mut plan = Self { orders: orders.collect() };
        plan.commit_one(|planned| planned.invoice.event.is_adjustment());
        plan.roll_one_back();
        plan.commit_one(|planned| !planned.invoice.event.is_foreign());
        plan.deliver_one_again();
        plan
    }

    /// Returns the number of orders that will be committed.
    pub(crate) fn committed(&self) -> u64 {
        self.orders.iter().filter(|planned| planned.end == End::Commit).count() as u64
    }

    /// Returns the final number of records in the topic: one per committed order, and the duplicates.
    pub(crate) fn records(&self) -> u64 {
        self.committed() + self.orders.iter().filter(|planned| planned.again_after.is_some()).count() as u64
    }

    fn commit_one(&mut self, wanted: impl Fn(&Planned) -> bool) {
        if !self.orders.iter().any(|planned| wanted(planned) && planned.end == End::Commit)
            && let Some(planned) = self.orders.iter_mut().find(|planned| wanted(planned))
        {
            planned.end = End::Commit;
        }
    }

    fn roll_one_back(&mut self) {
        if self.orders.len() > 1
            && self.orders.iter().all(|planned| planned.end == End::Commit)
            && let Some(planned) =
                self.orders.iter_mut().rfind(|planned| !planned.invoice.event.is_adjustment())
        {
            (planned.end, planned.again_after) = (End::RollBack, None);
        }
    }

    fn deliver_one_again(&mut self) {
        if self.orders.iter().all(|planned| planned.again_after.is_none())
            && let Some(planned) = self
                .orders
                .iter_mut()
                .find(|planned| planned.end == End::Commit && !planned.invoice.event.is_foreign())
        {
            planned.again_after = Some(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoices::{IN_A_YEAR, of_the_year};

    fn plan(count: u32, seed: u64) -> Plan {
        Plan::new(of_the_year(count).unwrap(), seed)
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let fates = |seed| {
            let fate = |planned: Planned| (planned.end, planned.again_after);
            plan(2_000, seed).orders.into_iter().map(fate).collect::<Vec<_>>()
        };
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }

    #[test]
    fn a_tenth_is_rolled_back_and_an_adjustment_always_committed() {
        for seed in 0..20 {
            let plan = plan(IN_A_YEAR, seed);
            let rolled_back = u64::from(IN_A_YEAR) - plan.committed();
            assert!((2_300..2_900).contains(&rolled_back), "{rolled_back}");
            let adjusted =
                |planned: &&Planned| planned.invoice.event.is_adjustment() && planned.end == End::Commit;
            assert!(plan.orders.iter().filter(adjusted).count() >= 1);
        }
    }

    #[test]
    fn the_smallest_runs_still_have_something_to_show() {
        for seed in 0..50 {
            assert_eq!((plan(1, seed).committed(), plan(1, seed).records()), (1, 2));
            let two = plan(2, seed);
            assert_eq!((two.committed(), two.records()), (1, 2));
        }
    }
}
