//! The loop that applies each message once.
//!
//! Decode → gates → begin → claim → handlers → offsets → checked commit → settle. What is waiting in a lane becomes one
//! transaction; a message that fails is set apart and its neighbours go on.

mod attempt;
mod backoff;
mod batch;
mod bind;
mod builder;
mod caution;
mod fault;
mod first;
mod fits;
mod handler;
mod key_lanes;
mod lanes;
mod middleware;
mod on_failure;
mod probe;
mod reach;
mod retry;
mod retry_run;
mod retry_timer;
mod router;
mod run;
mod settings;
mod several;
mod split;
mod stats;
mod turn;
mod whole;
mod window;

pub use backoff::Backoff;
pub use builder::{Consumer, ConsumerBuilder};
pub(crate) use handler::{Erased, Given, Handling};
pub use handler::{HandlerError, HandlerFn, IdempotentConsumer, StateHandlerFn};
pub use middleware::{Inner, Middleware};
pub use on_failure::{OnFailure, OnUnknown};
pub use router::Router;
pub(crate) use settings::RETRY_POLL;
pub use stats::{Connection, ConsumerStats, Stats};
pub(crate) use whole::TakesAll;
