//! Health of the databases and of the publishing of events.

mod checkpoints;
mod dependencies;
#[allow(clippy::module_inception, reason = "a module has the name of the thing in it")]
mod health;
mod held_back;
mod lag;
mod limits;
mod measure;
mod outbox;
mod ready;
mod relay_ready;
mod status;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use checkpoints::keep_checkpoints;
pub(crate) use dependencies::{Dependencies, Outboxes};
pub use health::Health;
pub use held_back::HeldBack;
pub use lag::Lag;
pub use limits::HealthLimits;
pub(crate) use measure::log_unread;
pub use ready::ConsumerReady;
pub use status::Status;

pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Dependencies: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(ready::live))
        .routes(routes!(ready::ready))
        .routes(routes!(outbox::outbox))
        .routes(routes!(ready::seed))
}
