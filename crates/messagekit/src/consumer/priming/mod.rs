//! Priming: a consumer handles the past of its topics in the order of time, and goes on as a normal consumer.
//!
//! The past is one lane of the consumer loop, fed by an ordered reader, so that claims, failures and the crash guard are those of
//! every consumer. Its transactions also write the time that they have reached.

mod frontiers;
mod opening;
mod primed_consumer;
mod progress;
mod replay_source;

pub(super) use frontiers::Frontiers;
pub use primed_consumer::PrimedConsumer;
pub use progress::PrimingProgress;
