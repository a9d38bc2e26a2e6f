//! The claim of one message, for custom loops.

use std::sync::Arc;

use super::{Claim, ClaimRequest, Markers};
use crate::{Error, MessageId};

/// Claims one id for `consumer` inside `tx`, for custom consumer loops and HTTP idempotency keys.
///
/// Run the effects only if the result is [`Claim::Fresh`], in the same transaction.
///
/// # Errors
/// A transient error if the connection was lost: nothing was claimed, roll back and retry.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use messagekit_memory::MemoryStore;
/// use messagekit::{Claim, Store, claim};
///
/// let store = MemoryStore::new();
/// let key = "pay-7".parse()?;
/// let mut tx = store.begin().await?;
/// assert_eq!(claim(&store, &mut tx, "payments", &key).await?, Claim::Fresh);
/// store.commit(tx).await?;
///
/// let mut tx = store.begin().await?;
/// assert_eq!(claim(&store, &mut tx, "payments", &key).await?, Claim::Done);
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
pub async fn claim<S: Markers>(
    store: &S,
    tx: &mut S::Tx,
    consumer: &str,
    id: &MessageId,
) -> Result<Claim, Error> {
    let request = ClaimRequest { id: id.clone(), topic: Arc::from(""), key: None, generation: 0 };
    let answers = store.claim(tx, consumer, &[request]).await?;
    Ok(answers[0])
}
