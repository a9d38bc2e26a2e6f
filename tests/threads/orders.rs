//! The number of schedules that are run.

use shuttle::scheduler::{DfsScheduler, PctScheduler};
use shuttle::{Config, Runner};

/// Runs a model in all schedules, up to 20,000, and in as many more in which the threads have random priorities.
pub(crate) fn in_every_order(model: impl Fn() + Send + Sync + Clone + 'static) {
    const ORDERS: usize = 20_000;
    Runner::new(DfsScheduler::new(Some(ORDERS), false), Config::new()).run(model.clone());
    Runner::new(PctScheduler::new(3, ORDERS), Config::new()).run(model);
}
