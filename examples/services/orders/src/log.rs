//! The log goes to stderr. Stdout holds only the lines that other programs wait for.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. The default level is info, and warnings only for the database driver.
pub(crate) fn start(wished: Option<Targets>) {
    let usual = || Targets::new().with_default(LevelFilter::INFO).with_target("sqlx", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    // A second start in one process, as in tests, keeps the first log.
    tracing_subscriber::registry().with(lines).with(wished.unwrap_or_else(usual)).try_init().ok();
}
