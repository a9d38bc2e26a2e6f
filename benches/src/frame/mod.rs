//! The frame of every measurement: contenders that run in turn, their ledger, processor time, medians and ratios.

mod ledger;
mod machine;
mod markdown;
mod meter;
mod pace;
mod plan;
mod plot;
mod results;
mod run;
mod spread;

pub(crate) use ledger::{Judge, Ledger};
pub(crate) use machine::Machine;
pub(crate) use markdown::markdown;
pub(crate) use meter::{Meter, Parts, listener, resident};
pub(crate) use pace::pace;
pub(crate) use plan::{Better, Cell, Contender, Goal, Measured, Plan, Role, Target};
pub(crate) use plot::plot;
pub(crate) use results::{CellResults, json};
pub(crate) use run::run;
pub(crate) use spread::{Spread, quantile};

/// The result of a measurement. Any error ends that measurement.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
