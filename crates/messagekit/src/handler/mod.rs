//! Handlers: their forms, their errors, and which message goes to which.

mod argument;
mod batch;
mod catch_all;
mod error;
mod function;
mod middleware;
mod mistakes;
mod on_newer_minor;
mod on_unknown;
mod route;
mod router;
mod state;
mod two_phases;
mod two_phases_with_state;
mod versions;

pub use argument::EventArgument;
pub(crate) use argument::{CallResult, Input};
pub use catch_all::CatchAll;
pub(crate) use error::ClassifyError;
pub use error::{HandlerError, HandlerErrorKind};
pub(crate) use function::{Erased, FirstPhase};
pub use function::{HandlerFn, IdempotentConsumer};
pub use middleware::{Inner, Middleware};
pub(crate) use mistakes::Never;
pub use on_newer_minor::OnNewerMinor;
pub use on_unknown::OnUnknown;
pub use router::Router;
pub(crate) use router::Task;
pub use state::StateHandlerFn;
pub use two_phases::{CallFn, EffectsFn};
pub use two_phases_with_state::{StateCallFn, StateEffectsFn};
