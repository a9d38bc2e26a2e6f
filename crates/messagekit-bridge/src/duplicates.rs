//! Filter of duplicates.

use std::fmt;
use std::sync::Arc;

use messagekit::adapter::{BoxFuture, ClaimRequest, End, Markers, TransactError};
use messagekit::{Claim, Error, ErrorKind, MessageId};

/// Remembers the messages that a bridge has forwarded. The bridge queries it before a publish and updates it after the
/// confirmation.
///
/// A bridge that crashes between the two publishes again, so consumers must deduplicate too. The filter removes
/// duplicates within the source.
pub trait Duplicates: Send + Sync {
    /// Returns for each id, in input order, whether it was forwarded before.
    ///
    /// # Errors
    /// The bridge retries after a transient error and ends with any other.
    fn known<'a>(&'a self, ids: &'a [MessageId]) -> BoxFuture<'a, Result<Vec<bool>, Error>>;

    /// Records that these ids were forwarded; a repeated id is not an error.
    ///
    /// # Errors
    /// As [`known`](Self::known).
    fn mark<'a>(&'a self, ids: &'a [MessageId]) -> BoxFuture<'a, Result<(), Error>>;
}

/// Stores the ids as processed markers of a store, as a consumer of the bridge's name would.
///
/// Two bridges with one database do not suppress each other, because the scope is the bridge's name.
#[derive(Clone)]
pub struct ProcessedIds<S> {
    store: S,
    scope: Arc<str>,
}

impl<S: Markers> ProcessedIds<S> {
    /// Stores the ids of `bridge` in `store`.
    pub fn new(store: S, bridge: impl Into<Arc<str>>) -> Self {
        Self { store, scope: bridge.into() }
    }

    /// Claims the ids in one transaction and commits it if `keep` is set. No transaction is open during a publish.
    async fn claim(&self, ids: &[MessageId], keep: bool) -> Result<Vec<bool>, Error> {
        let request =
            |id: &MessageId| ClaimRequest { id: id.clone(), topic: Arc::from(""), key: None, generation: 0 };
        let requests: Vec<ClaimRequest> = ids.iter().map(request).collect();
        let (store, scope) = (self.store.clone(), Arc::clone(&self.scope));
        let claimed = self.store.transact(Box::new(move |mut tx| {
            Box::pin(async move {
                let claims = store.claim(&mut tx, &scope, &requests).await;
                let end = if keep && claims.is_ok() { End::Commit(claims) } else { End::Rollback(claims) };
                (tx, end)
            })
        }));
        let claims = match claimed.await {
            Ok(claims) => claims?,
            Err(TransactError::Unknown(error)) => {
                let text = "markers of forwarded messages may be written or not";
                return Err(Error::new(ErrorKind::OutcomeUnknown, text).caused_by(error));
            }
            Err(TransactError::Begin(error) | TransactError::Commit(error)) => return Err(error),
        };
        Ok(claims.into_iter().map(|claim| claim != Claim::Fresh).collect())
    }
}

impl<S: Markers> Duplicates for ProcessedIds<S> {
    fn known<'a>(&'a self, ids: &'a [MessageId]) -> BoxFuture<'a, Result<Vec<bool>, Error>> {
        Box::pin(self.claim(ids, false))
    }

    fn mark<'a>(&'a self, ids: &'a [MessageId]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.claim(ids, true).await.map(drop) })
    }
}

impl<S> fmt::Debug for ProcessedIds<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessedIds").field("scope", &self.scope).finish_non_exhaustive()
    }
}
