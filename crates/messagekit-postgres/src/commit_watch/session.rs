//! The connection of a watcher: it hears notices of other processes, and looks.

use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind};
use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};

use super::notices::CHANNEL;
use crate::error::from_sqlx;
use crate::tables::commit_look::{self, CommitLook};
use crate::{SchemaName, address, read_only};

/// How long the server may take to answer a look.
const PATIENCE: Duration = address::LIMIT;

/// One connection beside the pool of the store. Behind a pooler that gives each transaction another session, no notice arrives: looks are
/// enough.
pub(super) struct Session {
    /// Of at most one connection: a follower takes none of the user's.
    pool: PgPool,
    schema: SchemaName,
    listener: Option<PgListener>,
    opened: Instant,
}

impl Session {
    /// Opens nothing yet.
    pub(super) fn new(store_pool: &PgPool, schema: SchemaName) -> Self {
        let options = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(store_pool.options().get_acquire_timeout())
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(false);
        let pool = read_only::closing(options).connect_lazy_with((*store_pool.connect_options()).clone());
        Self { pool, schema, listener: None, opened: Instant::now() }
    }

    /// Looks once. A connection that was lost is replaced by the next call.
    pub(super) async fn look(&mut self) -> Result<CommitLook, Error> {
        let looked =
            tokio::time::timeout(PATIENCE.max(self.pool.options().get_acquire_timeout()), self.look_now())
                .await;
        let looked = looked.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, "database does not answer: see that it can be reached"))
        });
        if looked.is_err() {
            self.listener = None;
        }
        looked
    }

    async fn look_now(&mut self) -> Result<CommitLook, Error> {
        if !read_only::is_current(self.opened.elapsed()) {
            self.listener = None;
        }
        let listener = match &mut self.listener {
            Some(listener) => listener,
            // Before the look: what is committed after it is noticed.
            None => {
                self.opened = Instant::now();
                self.listener.insert(listen(&self.pool).await.map_err(from_sqlx)?)
            }
        };
        while listener.next_buffered().is_some() {}
        commit_look::look(listener, &self.schema).await
    }

    /// Waits for a notice. Without a connection it waits for ever.
    pub(super) async fn noticed(&mut self) {
        while let Some(listener) = &mut self.listener {
            match listener.try_recv().await {
                Ok(Some(notice)) if notice.payload() == self.schema.as_str() => return,
                Ok(Some(_)) => {}
                // Lost: the next look asks for another one.
                Ok(None) | Err(_) => self.listener = None,
            }
        }
        std::future::pending::<()>().await;
    }
}

async fn listen(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
