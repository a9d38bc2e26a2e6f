//! Joining the source with what the consumer's database remembers.

use super::Backoff;
use super::settings::Settings;
use crate::store::Inbox;
use crate::transport::Source;
use crate::{Error, chain};

/// Binds the source; waits for a database that does not answer.
pub(super) async fn bind<S: Inbox, Src: Source>(
    settings: &Settings<S>,
    source: Src,
) -> Result<Src::Subscriber, Error> {
    let (store, consumer) = (&settings.store, &*settings.name);
    let mut remembered = Vec::new();
    for topic in source.topics() {
        remembered.extend(patiently(consumer, || store.next_of(consumer, topic)).await?);
    }
    // Before anything is handled: a cleanup that did not know of this consumer would take its markers.
    patiently(consumer, || store.note_window(consumer, settings.window)).await?;
    patiently(consumer, || store.sweep_suspects(consumer)).await?;
    source.bind(consumer, &remembered).await
}

/// Asks again until the store answers.
async fn patiently<T, F: Future<Output = Result<T, Error>>>(
    consumer: &str,
    mut ask: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut outages = 0;
    loop {
        match ask().await {
            Err(error) if error.is_transient() => {
                outages += 1;
                let wait = Backoff::OUTAGE.delay(outages);
                tracing::warn!(consumer, error = %chain(&error), ?wait, "start delayed by an outage");
                tokio::time::sleep(wait).await;
            }
            answer => return answer,
        }
    }
}
