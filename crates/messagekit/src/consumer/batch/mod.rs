//! A batch run: the state machine decides each step, and a transaction applies the messages of a range.

mod bisection;
mod calls;
mod messages;
mod report;
mod run;
mod state_machine;
mod steps;
mod transaction;

pub(super) use run::{BatchOutcome, run_batch};
