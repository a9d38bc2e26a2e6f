//! The log goes to stderr, so that stdout holds only what others wait for.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts it; without a wish it shows what happens, and of the driver's words only the warnings.
pub(crate) fn start(wished: Option<Targets>) {
    let usual = || Targets::new().with_default(LevelFilter::INFO).with_target("sqlx", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    // A second start in one process, as tests do, leaves the first in place.
    tracing_subscriber::registry().with(lines).with(wished.unwrap_or_else(usual)).try_init().ok();
}
