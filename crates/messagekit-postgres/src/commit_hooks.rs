//! What is called after the commit of a caller's transaction, also if other code commits it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use messagekit::Error;
use sqlx::{PgPool, Row};

use crate::PgTx;
use crate::error::from_sqlx;

/// The number of the transaction, which it gets by this question if it has written nothing yet.
const NUMBER: &str = "SELECT pg_current_xact_id()::text";

/// How the transactions of some numbers have ended. NULL: so long ago that the server has forgotten it.
const ENDED: &str = "
SELECT x.number, pg_xact_status(x.number::xid8) FROM unnest($1::text[]) x (number)
WHERE pg_xact_status(x.number::xid8) IS DISTINCT FROM 'in progress'";

/// The time between two questions about transactions that other code commits; it grows while none has ended.
const SOON: Duration = Duration::from_millis(2);
const LATER: Duration = Duration::from_millis(200);

type Hook = Box<dyn FnOnce() + Send>;

/// The hooks of open transactions, by their numbers: a transaction of sqlx has no place for them, and does not say when it ends.
#[derive(Default)]
pub(crate) struct CommitHooks(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    hooks: HashMap<String, Vec<Hook>>,
    /// A task asks for their ends.
    is_watched: bool,
}

impl CommitHooks {
    /// Adds a hook of an open transaction.
    pub(crate) async fn add(self: &Arc<Self>, pool: &PgPool, tx: &mut PgTx, hook: Hook) -> Result<(), Error> {
        let number: String = sqlx::query_scalar(NUMBER).fetch_one(&mut **tx).await.map_err(from_sqlx)?;
        let mut waiting = self.waiting();
        waiting.hooks.entry(number).or_default().push(hook);
        if !std::mem::replace(&mut waiting.is_watched, true) {
            tokio::spawn(Arc::clone(self).watch(pool.clone()));
        }
        Ok(())
    }

    /// Calls the hooks of transactions that have been committed, and drops those of others that have ended.
    pub(crate) async fn run_ended(&self, pool: &PgPool) {
        let numbers: Vec<String> = self.waiting().hooks.keys().cloned().collect();
        if numbers.is_empty() {
            return;
        }
        // Asked again by the task.
        let Ok(ended) = sqlx::query(ENDED).bind(numbers).fetch_all(pool).await else { return };
        for row in ended {
            let hooks = self.waiting().hooks.remove(row.get::<&str, _>(0)).unwrap_or_default();
            if row.get::<Option<&str>, _>(1) == Some("committed") {
                hooks.into_iter().for_each(|hook| hook());
            }
        }
    }

    /// Asks until no hook waits.
    async fn watch(self: Arc<Self>, pool: PgPool) {
        let mut pause = SOON;
        loop {
            tokio::time::sleep(pause).await;
            self.run_ended(&pool).await;
            let mut waiting = self.waiting();
            if waiting.hooks.is_empty() {
                waiting.is_watched = false;
                return;
            }
            pause = (pause * 5 / 4).min(LATER);
        }
    }

    /// Drops all hooks: a store that is closed asks no more.
    pub(crate) fn clear(&self) {
        self.waiting().hooks.clear();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CommitHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitHooks").field("transactions", &self.waiting().hooks.len()).finish()
    }
}
