//! Handlers: their forms, their errors, and which message goes to which.

mod batch;
mod catch_all;
mod error;
mod function;
mod middleware;
mod on_newer_minor;
mod on_unknown;
mod route;
mod router;
mod two_phases;
mod versions;

pub use catch_all::CatchAll;
pub use error::HandlerError;
pub(crate) use error::{Class, ClassifyError};
pub(crate) use function::{CallResult, Erased, FirstPhase, Given};
pub use function::{HandlerFn, IdempotentConsumer, StateHandlerFn};
pub use middleware::{Inner, Middleware};
pub use on_newer_minor::OnNewerMinor;
pub use on_unknown::OnUnknown;
pub use router::Router;
pub(crate) use router::Task;
pub use two_phases::{CallFn, EffectsFn, StateCallFn, StateEffectsFn};
