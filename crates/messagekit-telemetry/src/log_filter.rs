//! What a program logs.

use std::io::{IsTerminal, stderr};
use std::str::FromStr;

use messagekit::{Error, ErrorKind};
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use crate::WithTraceId;

/// Sets what is logged: a level, or levels for each target, such as `info,messagekit_admin=debug`.
const VARIABLE: &str = "MESSAGEKIT_LOG";
/// Their trace shows passwords and every body: of RabbitMQ's client, and of the client for HTTP.
const TELL_BODIES: [&str; 5] =
    ["lapin::channels", "lapin::frames", "lapin::internal_rpc", "lapin::io_loop", "ureq_proto::util"];
/// It logs the payload of a returned message.
const RETURNED: &str = "lapin::returned_messages";

/// What a program logs to standard error: a level, or levels for each target. Whatever it is, no payload and no password is logged by
/// the clients of the brokers and the client for HTTP.
///
/// ```
/// use messagekit_telemetry::LogFilter;
/// use tracing_subscriber::filter::LevelFilter;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// # fn main() -> Result<(), messagekit::Error> {
/// let filter: LogFilter = "info,messagekit_admin=debug".parse()?;
/// let log = tracing_subscriber::registry().with(filter.lines());
/// assert!("loud".parse::<LogFilter>().is_err());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct LogFilter(Targets);

impl LogFilter {
    /// Logs this level; of the database's driver at most warnings, and nothing of RabbitMQ's client, which logs errors that the adapter
    /// expects and handles.
    pub fn at(level: LevelFilter) -> Self {
        let usual = Targets::new().with_default(level);
        Self(usual.with_target("sqlx", level.min(LevelFilter::WARN)).with_target("lapin", LevelFilter::OFF))
    }

    /// Reads the variable `MESSAGEKIT_LOG`; without it, the same as [`at`](Self::at).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for another text than a level or a list of targets. A retry does not help.
    pub fn from_env(level: LevelFilter) -> Result<Self, Error> {
        match std::env::var(VARIABLE).unwrap_or_default().as_str() {
            "" => Ok(Self::at(level)),
            wished => wished.parse(),
        }
    }

    /// Returns the log: a line on standard error for each event, with the id of its trace, in colour on a terminal.
    pub fn lines<S>(self) -> impl Layer<S> + Send + Sync
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_subscriber::fmt::layer()
            .event_format(WithTraceId::default())
            .with_writer(stderr)
            .with_ansi(stderr().is_terminal())
            .with_filter(self.0)
    }
}

/// Reads a level, or levels for each target. A level up to `info` alone is the same as [`at`](LogFilter::at); more also shows what the
/// drivers log.
impl FromStr for LogFilter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            let text = format!("{VARIABLE} is no level such as info, or messagekit_admin=debug");
            Error::new(ErrorKind::InvalidConfiguration, text)
        };
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let level = |part: &str| part.parse::<LevelFilter>().ok().filter(|_| !part.is_empty());
        if let [only] = parts[..]
            && let Some(level) = level(only).filter(|level| *level <= LevelFilter::INFO)
        {
            return Ok(Self::at(level));
        }
        // A word without a level would be taken for a target, and all others would be silent.
        if !parts.iter().all(|part| part.contains('=') || level(part).is_some()) {
            return Err(wrong());
        }
        let wished: Targets = parts.join(",").parse().map_err(|error| wrong().caused_by(error))?;
        Ok(Self(TELL_BODIES.into_iter().fold(wished, without_bodies).with_target(RETURNED, LevelFilter::OFF)))
    }
}

/// Leaves a target at most at debug.
fn without_bodies(filter: Targets, target: &'static str) -> Targets {
    match filter.would_enable(target, &Level::TRACE) {
        true => filter.with_target(target, LevelFilter::DEBUG),
        false => filter,
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;
    use tracing_subscriber::filter::LevelFilter;

    use super::LogFilter;

    fn enabled(filter: &LogFilter, target: &str, level: tracing::Level) -> bool {
        filter.0.would_enable(target, &level)
    }

    #[test]
    fn the_clients_bodies_are_not_logged_at_any_level() {
        let loud: LogFilter = "trace".parse().expect("a level");
        assert!(enabled(&loud, "messagekit", Level::TRACE));
        let lapin = ["channels", "frames", "internal_rpc", "io_loop"].map(|part| format!("lapin::{part}"));
        for target in lapin.iter().map(String::as_str).chain(["ureq_proto::util"]) {
            assert!(
                enabled(&loud, target, Level::DEBUG) && !enabled(&loud, target, Level::TRACE),
                "{target}"
            );
        }
        assert!(!enabled(&loud, "lapin::returned_messages", Level::ERROR));
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for text in ["loud", "info,messagekit_admin", "a=b=c", "", "info,"] {
            let error = text.parse::<LogFilter>().expect_err(text);
            assert_eq!(error.kind(), messagekit::ErrorKind::InvalidConfiguration, "{text}");
        }
        let spaced: LogFilter = " info , messagekit_admin=debug".parse().expect("spaces do not count");
        assert!(enabled(&spaced, "messagekit_admin", Level::DEBUG));
        assert!(enabled(&spaced, "messagekit", Level::INFO) && !enabled(&spaced, "messagekit", Level::DEBUG));
    }

    #[test]
    fn a_client_that_shall_be_silent_is_silent() {
        let filter: LogFilter = "info,lapin=off".parse().expect("a filter");
        for part in ["lapin::channels", "lapin::connection", "lapin::returned_messages"] {
            assert!(!enabled(&filter, part, Level::ERROR), "{part}");
        }
    }

    #[test]
    fn the_drivers_are_quieter_than_the_program() {
        for usual in [LogFilter::at(LevelFilter::INFO), "info".parse().expect("a level")] {
            is_quiet(&usual);
        }
    }

    fn is_quiet(usual: &LogFilter) {
        assert!(enabled(usual, "messagekit_admin", Level::INFO));
        assert!(!enabled(usual, "sqlx::query", Level::INFO));
        assert!(enabled(usual, "sqlx::query", Level::WARN));
        assert!(!enabled(usual, "lapin::connection", Level::ERROR));
    }
}
