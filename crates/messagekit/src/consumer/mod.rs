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
#[allow(clippy::module_inception, reason = "a module has the name of the thing in it")]
mod consumer;
mod crash_guard;
mod dedup_window;
mod deliver;
mod delivered;
mod fault;
mod handler_run;
mod key_lanes;
mod lag_watch;
mod lane_state;
mod lanes;
mod missing_topics;
mod observers;
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
mod sighting;
mod similar_types;
mod spans;
mod state_machine;
mod stats;
mod steps;
mod topic_check;
mod transaction;
mod type_check;
mod unhandled_types;

pub use backoff::Backoff;
pub use builder::{ConsumerBuilder, NoSource};
pub use consumer::Consumer;
pub use delivered::Delivered;
pub use on_failure::OnFailure;
pub use priming::{PrimedConsumer, PrimingProgress};
pub use settings::RETRY_POLL;
pub use stats::{Connection, ConsumerStats, Stats};
