//! What an open store holds in memory for its topics.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::watch;

use crate::claim_holder::HolderSession;
use crate::commit_hooks::CommitHooks;

/// The holder of the store's record claims, its commits, and what is called after some of them.
#[derive(Debug)]
pub(crate) struct TopicSessions {
    pub(crate) holder: HolderSession,
    pub(crate) hooks: Arc<CommitHooks>,
    /// Counts the commits of this process that may have appended.
    commits: watch::Sender<u64>,
}

impl Default for TopicSessions {
    fn default() -> Self {
        Self { holder: HolderSession::default(), hooks: Arc::default(), commits: watch::Sender::new(0) }
    }
}

impl TopicSessions {
    /// Notes a commit of this process: calls what waits for it, and wakes its readers.
    pub(crate) async fn committed(&self, pool: &PgPool) {
        self.commits.send_modify(|count| *count = count.wrapping_add(1));
        self.hooks.run_ended(pool).await;
    }

    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Ends the holder: the claims that are left end.
    pub(crate) async fn clear(&self) {
        self.holder.end().await;
        self.hooks.clear();
    }
}
