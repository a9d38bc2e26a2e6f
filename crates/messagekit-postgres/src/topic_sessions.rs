//! What an open store holds in memory for its topics.

use std::sync::Arc;

use messagekit_topic_store::ClaimTurns;
use sqlx::PgPool;
use tokio::sync::watch;

use crate::SchemaName;
use crate::claim_holder::HolderSession;
use crate::commit_hooks::CommitHooks;
use crate::commit_watch::{CommitWatcher, Notices};
use crate::topic_turns::TopicTurns;

/// The holder of the store's record claims, its commits, what is called after some of them, and how followers hear of them.
#[derive(Debug)]
pub(crate) struct TopicSessions {
    pub(crate) holder: HolderSession,
    /// Claims of this store that wait for each other.
    pub(crate) claim_turns: ClaimTurns,
    pub(crate) turns: TopicTurns,
    pub(crate) hooks: Arc<CommitHooks>,
    /// Counts the commits of this store.
    commits: watch::Sender<u64>,
    pub(crate) watcher: CommitWatcher,
    pub(crate) notices: Arc<Notices>,
}

impl Default for TopicSessions {
    fn default() -> Self {
        Self {
            holder: HolderSession::default(),
            claim_turns: ClaimTurns::default(),
            turns: TopicTurns::default(),
            hooks: Arc::default(),
            commits: watch::Sender::new(0),
            watcher: CommitWatcher::default(),
            notices: Arc::default(),
        }
    }
}

impl TopicSessions {
    /// Notes a commit of this store: calls what waits for it, and wakes followers, also those of other processes.
    pub(crate) async fn committed(&self, pool: &PgPool, schema: &SchemaName) {
        self.commits.send_modify(|count| *count = count.wrapping_add(1));
        self.watcher.look_soon();
        self.notices.committed(pool, schema);
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
