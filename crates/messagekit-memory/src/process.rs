//! A pretended process: the clones of one handle.

use std::sync::Arc;

use messagekit_topic_store::ClaimHolder;

use super::database::Database;
use super::lock;

/// Ends with the last clone of its handle.
pub(super) struct Process {
    database: Arc<Database>,
    pub(super) holder: ClaimHolder,
}

impl Process {
    pub(super) fn new(database: &Arc<Database>) -> Arc<Self> {
        Arc::new(Self { database: database.clone(), holder: ClaimHolder::unique() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        lock(&self.database.tables).ended_holders.insert(self.holder.clone());
    }
}
