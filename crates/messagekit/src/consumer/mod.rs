//! The consumer loop, which applies each message once.
//!
//! Decode → gates → begin → claim → handlers → offsets → checked commit → settle. The waiting messages of a lane share one
//! transaction. A failing message is set aside, and the others continue.

mod adaptive_batch;
mod backoff;
mod batch;
mod batch_handler;
mod batch_run;
mod bind;
mod bisection;
mod builder;
mod catch_all;
mod crash_guard;
mod dedup_window;
mod fault;
mod handler;
mod key_lanes;
mod lane_state;
mod lanes;
mod middleware;
mod on_failure;
mod retention_watch;
mod retry;
mod retry_run;
mod retry_timer;
mod router;
mod run;
mod settings;
mod state_machine;
mod stats;
mod steps;
mod transaction;

pub use backoff::Backoff;
pub use builder::{Consumer, ConsumerBuilder};
pub(crate) use catch_all::TakesAll;
pub(crate) use handler::{Erased, Given, Handling};
pub use handler::{HandlerError, HandlerFn, IdempotentConsumer, StateHandlerFn};
pub use middleware::{Inner, Middleware};
pub use on_failure::{OnFailure, OnUnknown};
pub use router::Router;
pub(crate) use settings::RETRY_POLL;
pub use stats::{Connection, ConsumerStats, Stats};
