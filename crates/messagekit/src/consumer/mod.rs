//! The consumer loop, which applies each message once.
//!
//! Decode → gates → begin → claim → handlers → offsets → checked commit → settle. The waiting messages of a lane share one
//! transaction. A failing message is set aside, and the others continue.

mod adaptive_batch;
mod backoff;
mod batch;
mod batch_run;
mod bind;
mod bisection;
mod builder;
mod builder_check;
mod call_slot;
mod calls;
mod crash_guard;
mod dedup_window;
mod fault;
mod handler_run;
mod key_lanes;
mod lag_watch;
mod lane_state;
mod lanes;
mod missing_topics;
mod on_failure;
mod options;
mod priming;
mod report;
mod retention_watch;
mod retry;
mod retry_run;
mod retry_timer;
mod run;
mod settings;
mod similar_types;
mod spans;
mod state_machine;
mod stats;
mod steps;
mod topic_check;
mod transaction;
mod unhandled_types;

pub use backoff::Backoff;
pub use builder::{Consumer, ConsumerBuilder, NoSource};
pub use on_failure::OnFailure;
pub use priming::{PrimedConsumer, PrimingProgress};
pub use settings::RETRY_POLL;
pub use stats::{Connection, ConsumerStats, Stats};
