//! Shows other relays at once that a relay's process has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use messagekit::Error;
use sqlx::{PgConnection, PgPool};

use crate::error::from_sqlx;
use crate::{advisory_lock, connect};

/// The lock space of relays' advisory locks; the second part is the hash of the relay's name.
pub(crate) const LOCK_SPACE: i32 = 0x6d6b_7270;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

/// One connection for each relay of the process. It holds an advisory lock and has no other use.
///
/// The lock is only a hint. A working relay that loses it loses its shards to other relays, sees another epoch, and takes
/// its share again. So no work waits for the lock. Behind a pooler that keeps the lock, the end of the lease decides as
/// before.
#[derive(Default)]
pub(crate) struct Membership {
    relays: Mutex<HashMap<Arc<str>, Kept>>,
}

struct Kept {
    /// The end of the relay's lease: a dropped relay never unregisters.
    until: Instant,
    link: Link,
}

enum Link {
    Held(PgConnection),
    /// A task is checking the lock; the value says whether it was held before.
    Asked(bool),
}

impl Membership {
    /// Returns whether a relay's lock was held at the last check, and starts the next check in the background. Releases
    /// the locks of relays whose leases have ended.
    pub(crate) fn keep(self: &Arc<Self>, pool: &PgPool, relay: &str, lease: Duration) -> bool {
        let now = Instant::now();
        let until = now + lease.min(A_YEAR);
        let mut relays = self.relays();
        relays.retain(|other, kept| **other == *relay || now < kept.until);
        let relay: Arc<str> = relay.into();
        let (was_held, held) = match relays.remove(&relay).map(|kept| kept.link) {
            Some(Link::Asked(was_held)) => {
                relays.insert(relay, Kept { until, link: Link::Asked(was_held) });
                return was_held;
            }
            Some(Link::Held(connection)) => (true, Some(connection)),
            None => (false, None),
        };
        relays.insert(Arc::clone(&relay), Kept { until, link: Link::Asked(was_held) });
        tokio::spawn(Arc::clone(self).look_after(pool.clone(), relay, held));
        was_held
    }

    /// Releases the lock of a relay that has left.
    pub(crate) fn end(&self, relay: &str) {
        self.relays().remove(relay);
    }

    /// Releases all locks.
    pub(crate) fn clear(&self) {
        self.relays().clear();
    }

    async fn look_after(self: Arc<Self>, pool: PgPool, relay: Arc<str>, held: Option<PgConnection>) {
        let looked = tokio::time::timeout(PATIENCE, async {
            if let Some(mut held) = held
                && is_held(&mut held, &relay).await.is_ok_and(|is_held| is_held)
            {
                return Ok(Some(held));
            }
            let mut connection = connect::live(&pool).await?.detach();
            Ok::<_, Error>(is_held(&mut connection, &relay).await?.then_some(connection))
        });
        let connection = looked.await.ok().and_then(Result::ok).flatten();
        let mut relays = self.relays();
        // The relay may have left meanwhile.
        if let Some(Kept { until, .. }) = relays.remove(&relay)
            && let Some(connection) = connection
        {
            relays.insert(relay, Kept { until, link: Link::Held(connection) });
        }
    }

    fn relays(&self) -> MutexGuard<'_, HashMap<Arc<str>, Kept>> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the lock, again when it is already held: behind a pooler, a live connection may have another session.
async fn is_held(connection: &mut PgConnection, relay: &str) -> Result<bool, Error> {
    advisory_lock::take(connection, LOCK_SPACE, relay).await.map_err(from_sqlx)
}
