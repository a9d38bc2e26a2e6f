//! What the measurements share: the events, a consumer run over all of them, medians and ratios.
//!
//! Machines are noisy, so everything is run in turn, several rounds, and only ratios within one run mean something. Every
//! cell counts its rows afterwards: a run that lost or doubled one has failed, whatever its speed.

mod drain;
mod events;
mod program;
mod report;

pub use drain::drain;
pub use events::{ACCOUNTS, Made, TOPIC, events, messages};
pub use program::{Rounds, exit_code};
pub use report::{Cell, Ratio, Report, Target};

/// What a measurement returns: whatever goes wrong ends the program.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
