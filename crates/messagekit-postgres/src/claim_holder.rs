//! The holder of a store's record claims: an advisory lock of a session, which the server releases when the process ends.

use std::time::{Duration, Instant};

use messagekit::Error;
use messagekit_topic_store::ClaimHolder;
use sqlx::{PgConnection, PgPool};
use tokio::sync::Mutex;

use crate::error::from_sqlx;
use crate::{advisory_lock, connect, read_only};

/// The lock space of holders; the second part is the hash of the holder's name.
const LOCK_SPACE: i32 = 0x6d6b_636c;

/// Two names of one hash only make an ended holder look alive until its leases end.
const ENDED: &str = "
SELECT h.name FROM unnest($2::text[]) h (name) WHERE NOT EXISTS (
  SELECT FROM pg_locks l
  WHERE l.locktype = 'advisory' AND l.classid::bigint = $1 AND l.objsubid = 2
    AND l.objid::bigint = (hashtext(h.name)::bigint & 4294967295)
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))";

/// How long the session is trusted without a question. A server that has restarted knows of no holder: records that are claimed by
/// this one within this time are claimed again by others, and its acknowledgement is refused.
const TRUST: Duration = Duration::from_secs(1);

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The session of the holder, made at the first claim.
#[derive(Debug, Default)]
pub(crate) struct HolderSession(Mutex<Option<Held>>);

#[derive(Debug)]
struct Held {
    holder: ClaimHolder,
    session: PgConnection,
    seen: Instant,
    opened: Instant,
}

impl HolderSession {
    /// Returns the holder. Its lock is taken before anything names it; a session that was lost is replaced, with a holder of another
    /// name.
    pub(crate) async fn get(&self, pool: &PgPool) -> Result<ClaimHolder, Error> {
        let mut held = self.0.lock().await;
        if let Some(known) = &mut *held {
            if read_only::is_current(known.opened.elapsed())
                && (known.seen.elapsed() < TRUST || known.is_held().await)
            {
                return Ok(known.holder.clone());
            }
            *held = None;
        }
        let mut known = Held {
            holder: ClaimHolder::unique(),
            session: connect::live(pool).await?.detach(),
            seen: Instant::now(),
            opened: Instant::now(),
        };
        if !known.is_held().await {
            let text = "the lock of a new holder of record claims could not be taken: retry";
            return Err(Error::new(messagekit::ErrorKind::Unavailable, text));
        }
        Ok(held.insert(known).holder.clone())
    }

    /// Returns those holders whose process, or session, has ended. Asks by the session, so that a transaction that waits for the answer
    /// needs no other connection of the pool.
    pub(crate) async fn ended(
        &self,
        pool: &PgPool,
        holders: &[ClaimHolder],
    ) -> Result<Vec<ClaimHolder>, Error> {
        self.get(pool).await?;
        let mut held = self.0.lock().await;
        let Some(known) = &mut *held else { return Ok(Vec::new()) };
        let names: Vec<&str> = holders.iter().map(ClaimHolder::as_str).collect();
        let ask = sqlx::query_scalar(ENDED).bind(i64::from(LOCK_SPACE)).bind(names);
        let asked = tokio::time::timeout(PATIENCE, ask.fetch_all(&mut known.session)).await;
        let Ok(Ok(ended)) = asked else {
            // The lock goes with the session; the next claim has a new holder.
            *held = None;
            return match asked {
                Ok(Err(error)) => Err(from_sqlx(error)),
                _ => Err(Error::new(messagekit::ErrorKind::Unavailable, "database does not answer")),
            };
        };
        let ended: Vec<String> = ended;
        Ok(holders
            .iter()
            .filter(|holder| ended.iter().any(|name| name == holder.as_str()))
            .cloned()
            .collect())
    }

    /// Releases the lock, and waits for the answer: of a connection that is merely closed the server may learn later.
    pub(crate) async fn end(&self) {
        let Some(mut known) = self.0.lock().await.take() else { return };
        // Without an answer the lock goes with the session.
        tokio::time::timeout(PATIENCE, advisory_lock::release_all(&mut known.session)).await.ok();
    }
}

impl Held {
    /// Takes the lock, again when it is already held: behind a pooler, a live connection may have another session.
    async fn is_held(&mut self) -> bool {
        let lock = advisory_lock::take(&mut self.session, LOCK_SPACE, self.holder.as_str());
        let held = tokio::time::timeout(PATIENCE, lock).await;
        let is_held = matches!(held, Ok(Ok(true)));
        self.seen = Instant::now();
        is_held
    }
}
