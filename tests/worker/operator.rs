//! The operator: gives up whatever is dead, so that what waits behind it goes on.

use std::time::Duration;

use messagekit::{Act, Actor, DeadLetters, Error, LetterFilter, LetterState, Shutdown};
use messagekit_sqlite::SqliteStore;

/// How many letters one act discards.
const AT_ONCE: u32 = 20;
/// How long the operator looks away: keys are held meanwhile.
const BETWEEN_LOOKS: Duration = Duration::from_millis(40);

/// Discards dead letters until asked to end.
pub(crate) async fn run(store: &SqliteStore, shutdown: &Shutdown) -> Result<(), Error> {
    let actor = Actor::new("operator", "test");
    let dead = LetterFilter { state: Some(LetterState::Dead), ..LetterFilter::default() };
    while !shutdown.is_requested() {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let letters = store.ids(&dead, AT_ONCE).await?;
        if !letters.is_empty() {
            store.act(Act::Discard, &letters, &actor).await?;
        }
    }
    Ok(())
}
