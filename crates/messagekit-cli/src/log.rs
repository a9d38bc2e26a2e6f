//! What programs that run for long say on standard error.

use std::io::{IsTerminal, stderr};

use messagekit::{Error, ErrorKind};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Says how much is told: a level, or levels of parts, such as `info,messagekit_admin=debug`.
const VARIABLE: &str = "MESSAGEKIT_LOG";

/// Begins to tell; this level and worse, unless the variable says otherwise.
pub(crate) fn begin(usual: LevelFilter) -> Result<(), Error> {
    let wished: Targets = match wished()? {
        // The client of RabbitMQ calls an error what our crate has asked for and understands.
        None => Targets::new().with_default(usual).with_target("lapin", LevelFilter::OFF),
        Some(wished) => {
            let at_most = wished.default_level().unwrap_or(LevelFilter::ERROR).min(LevelFilter::DEBUG);
            // The trace of these shows the password and every body.
            let told = ["channels", "frames", "internal_rpc", "io_loop"];
            told.iter().fold(wished, |wished, part| wished.with_target(format!("lapin::{part}"), at_most))
        }
    };
    // It tells the payload of a message that comes back.
    let filter = wished.with_target("lapin::returned_messages", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    tracing_subscriber::registry().with(lines).with(filter).try_init().ok();
    Ok(())
}

/// Returns what the variable asks for.
pub(crate) fn wished() -> Result<Option<Targets>, Error> {
    match std::env::var(VARIABLE).unwrap_or_default().as_str() {
        "" => Ok(None),
        wished => wished.parse().map(Some).map_err(|error| {
            let text = format!("{VARIABLE} is no level such as info, or messagekit_admin=debug");
            Error::new(ErrorKind::InvalidConfiguration, text).caused_by(error)
        }),
    }
}
