//! Not forwarding what was forwarded before.

use std::fmt;
use std::sync::Arc;

use crate::store::{BoxFuture, Claim, ClaimRequest, End, Processed, TransactError};
use crate::{Error, ErrorKind, MessageId};

/// Remembers what a bridge has forwarded: asked before a publish, told after the confirm.
///
/// A bridge that dies between the two publishes again, so consumers deduplicate all the same; the filter spares them what the
/// source itself holds twice.
pub trait Duplicates: Send + Sync {
    /// Says for each id, in input order, whether it was forwarded before.
    ///
    /// # Errors
    /// A transient one is waited for; any other ends the bridge.
    fn known<'a>(&'a self, ids: &'a [MessageId]) -> BoxFuture<'a, Result<Vec<bool>, Error>>;

    /// Remembers that these were forwarded; again is no error.
    ///
    /// # Errors
    /// As [`known`](Self::known).
    fn mark<'a>(&'a self, ids: &'a [MessageId]) -> BoxFuture<'a, Result<(), Error>>;
}

/// The markers of a store under a name of their own, as a consumer of that name would write them.
///
/// The scope is the bridge's name: two bridges over one database do not suppress each other.
#[derive(Clone)]
pub struct ProcessedIds<S> {
    store: S,
    scope: Arc<str>,
}

impl<S: Processed> ProcessedIds<S> {
    /// Keeps the ids of `bridge` in `store`.
    pub fn new(store: S, bridge: impl Into<Arc<str>>) -> Self {
        Self { store, scope: bridge.into() }
    }

    /// Claims the ids in one transaction, which is kept or not; no transaction is open across a publish.
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

impl<S: Processed> Duplicates for ProcessedIds<S> {
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
