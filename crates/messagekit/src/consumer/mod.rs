//! The consumer loop, which applies each message once.
//!
//! Decode → gates → begin → claim → handlers → offsets → checked commit → settle. The waiting messages of a lane share one
//! transaction. A failing message is set aside, and the others continue.
//!
//! `run/` is the loop. It queues messages in the lanes of `lane/`, starts the runs of `batch/` and the retries of `retry/`, and
//! `watch/` watches what is around them. `batch/` and `retry/` use `lane/`, which uses neither of them.

mod adaptive_batch;
mod backoff;
mod batch;
mod bind;
mod builder;
mod builder_check;
#[allow(clippy::module_inception, reason = "a module has the name of the thing in it")]
mod consumer;
mod deliver;
mod delivered;
mod failure_log;
mod fault;
mod lane;
mod observers;
mod on_failure;
mod options;
mod priming;
mod retry;
mod run;
mod settings;
mod spans;
mod stats;
mod watch;

pub use backoff::Backoff;
pub use builder::{ConsumerBuilder, NoSource};
pub use consumer::Consumer;
pub use delivered::Delivered;
pub use on_failure::OnFailure;
pub use priming::{PrimedConsumer, PrimingProgress};
pub use settings::RETRY_POLL;
pub use stats::{Connection, ConsumerStats, Stats};
