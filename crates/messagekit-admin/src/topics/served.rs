//! The topics that a request means.

use std::sync::Arc;

use messagekit_topics::operations::TopicOperations;

use crate::app::App;
use crate::database::Which;
use crate::failure::Failure;

/// Returns the topics of the database of a request.
pub(super) fn topics(app: &App, which: &Which) -> Result<Arc<dyn TopicOperations>, Failure> {
    let database = app.databases.one(which.database.as_deref())?;
    database.topics.clone().ok_or_else(|| Failure::not_found("topics of this database are not served"))
}
