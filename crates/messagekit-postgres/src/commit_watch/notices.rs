//! Notices that tell other processes of commits.
//!
//! A `NOTIFY` holds a lock of the whole server until its transaction is flushed, so that writers who send one in their transactions commit
//! one after the other. A notice has a transaction of its own, after the commit, on another connection, and writes nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use messagekit::Error;
use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::error::from_sqlx;
use crate::{SchemaName, connect};

/// The channel of all schemas; the payload of a notice is the schema.
pub(super) const CHANNEL: &str = "messagekit_commits";

/// No row where no topic is kept: there are no followers.
pub(crate) const NOTIFY: &str = "
SELECT pg_notify($1, $2)::text FROM (SELECT FROM messagekit.topics LIMIT 1) t";

/// The time between two notices: a commit in between waits for the second.
const PAUSE: Duration = Duration::from_millis(5);

/// How long after a write a commit may be that of its transaction. Looks find what takes longer.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// How long a database without topics, or one that did not answer, gets no notice.
const WITHOUT_TOPICS: Duration = Duration::from_secs(10);

/// How long a process that ends waits for its last notice.
const LAST: Duration = Duration::from_secs(1);

/// Sends notices of a store's commits.
#[derive(Debug)]
pub(crate) struct Notices {
    state: Mutex<State>,
    is_sending: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// When a transaction has written records or events.
    written: Option<Instant>,
    /// A commit has no notice yet.
    is_due: bool,
    not_before: Option<Instant>,
}

impl Default for Notices {
    fn default() -> Self {
        Self { state: Mutex::default(), is_sending: watch::Sender::new(false) }
    }
}

impl Notices {
    /// Notes that a transaction has written records or events.
    pub(crate) fn written(&self) {
        self.state().written = Some(Instant::now());
    }

    /// Notes a commit, and sends a notice of it soon, if it may have records. The caller waits for nothing.
    pub(crate) fn committed(self: &Arc<Self>, pool: &PgPool, schema: &SchemaName) {
        let now = Instant::now();
        let mut state = self.state();
        let is_recent = state.written.is_some_and(|written| now - written < WRITTEN_WITHIN);
        if !is_recent || state.not_before.is_some_and(|until| now < until) {
            return;
        }
        state.is_due = true;
        let Ok(runtime) = Handle::try_current() else { return };
        // One task sends for all commits: what it does not take before it ends, it leaves with the flag that starts the next one.
        if !self.is_sending.send_replace(true) {
            let sending = Sending { notices: self.clone(), has_ended: false };
            runtime.spawn(sending.run(pool.clone(), schema.clone()));
        }
    }

    /// Waits for the notice of the last commit, for a short time.
    pub(crate) async fn finish(&self) {
        let mut sending = self.is_sending.subscribe();
        timeout(LAST, sending.wait_for(|is_sending| !is_sending)).await.ok();
    }

    /// Takes the notice that is due. Without one, the task has ended when the lock is released.
    fn take(&self) -> bool {
        let mut state = self.state();
        let is_due = std::mem::take(&mut state.is_due);
        if !is_due {
            self.is_sending.send_replace(false);
        }
        is_due
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that sends. One that is dropped with its runtime lets another one start.
struct Sending {
    notices: Arc<Notices>,
    has_ended: bool,
}

impl Sending {
    async fn run(mut self, pool: PgPool, schema: SchemaName) {
        while self.notices.take() {
            if !matches!(send(&pool, &schema).await, Ok(true)) {
                self.notices.state().not_before = Some(Instant::now() + WITHOUT_TOPICS);
            }
            sleep(PAUSE).await;
        }
        self.has_ended = true;
    }
}

/// Sends a notice, and returns whether the database keeps topics.
async fn send(pool: &PgPool, schema: &SchemaName) -> Result<bool, Error> {
    let mut connection = connect::live(pool).await?;
    let send = sqlx::query(schema.sql(NOTIFY)).bind(CHANNEL).bind(schema.as_str());
    Ok(send.fetch_optional(&mut *connection).await.map_err(from_sqlx)?.is_some())
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.has_ended {
            self.notices.is_sending.send_replace(false);
        }
    }
}
