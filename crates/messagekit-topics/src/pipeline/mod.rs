//! Pipelines: functions between topics.
//!
//! A function is called outside of any transaction. What it returned, and that its record is handled, is then one transaction: a
//! process that dies leaves the record new, and no output. A failed record stays new and is a failed message of its consumer.

mod alone;
mod arm;
mod failure;
mod graph;
mod kept_graph;
mod pipe;
mod plan;
mod plot;
mod run;
mod serve;
mod settings;
mod settle;
mod stage;

pub(crate) use failure::Shown;
pub use failure::{ArmFailure, Strategy};
pub use pipe::Pipe;
pub use plan::Pipeline;
pub use run::Run;
