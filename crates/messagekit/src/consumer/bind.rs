//! Joining the source with what the consumer's database remembers.

use super::Backoff;
use super::settings::Settings;
use crate::store::{NextOffset, Offsets};
use crate::transport::Source;
use crate::{Error, chain};

/// Binds the source; waits for a database that does not answer.
pub(super) async fn bind<S: Offsets, Src: Source>(
    settings: &Settings<S>,
    source: Src,
) -> Result<Src::Subscriber, Error> {
    let mut remembered = Vec::new();
    for topic in source.topics() {
        remembered.extend(next_of(settings, topic).await?);
    }
    source.bind(&settings.name, &remembered).await
}

async fn next_of<S: Offsets>(settings: &Settings<S>, topic: &str) -> Result<Vec<NextOffset>, Error> {
    let mut outages = 0;
    loop {
        match settings.store.next_of(&settings.name, topic).await {
            Err(error) if error.is_transient() => {
                outages += 1;
                let wait = Backoff::OUTAGE.delay(outages);
                let consumer = &*settings.name;
                tracing::warn!(consumer, error = %chain(&error), ?wait, "start delayed by an outage");
                tokio::time::sleep(wait).await;
            }
            answer => return answer,
        }
    }
}
