//! Tokio's clock for limits, so that tests can pause it.

use governor::clock::Clock;
use governor::nanos::Nanos;
use tokio::time::Instant;

/// The time since the limit was created.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokioClock(Instant);

impl TokioClock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}
