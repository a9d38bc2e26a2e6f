//! Notes that a consumer runs, and what it passes over.

use std::sync::Arc;
use std::time::Duration;

use crate::chain;
use crate::consumer::settings::Settings;
use crate::store::Inbox;

/// Three of them fit into the time within which a consumer is seen.
const EVERY: Duration = Duration::from_secs(10);

/// The longest time that a note of counts takes from what comes after it: the next note, a stop, an answer.
const LONGEST: Duration = Duration::from_secs(2);

/// Records the window of the consumer and the messages that it has passed over, every few seconds; it never ends. The time of the
/// window tells operators that a process runs, whether gates hold it back or not, and old windows expire.
pub(in crate::consumer) async fn note_running<S: Inbox>(settings: Arc<Settings<S>>) {
    let mut is_away = false;
    loop {
        tokio::time::sleep(EVERY).await;
        let noted = settings.window.note(&settings.store, &settings.name).await;
        if let Err(error) = &noted
            && !is_away
        {
            tracing::warn!(consumer = &*settings.name, error = %chain(error), "window not noted");
        }
        is_away = noted.is_err();
        if !is_away {
            note_unhandled(&settings).await;
        }
    }
}

/// Notes what was passed over since the last note, for two seconds at most. What cannot be noted stays for the next one.
pub(in crate::consumer) async fn note_unhandled<S: Inbox>(settings: &Settings<S>) {
    settings.unhandled_types.note(&settings.store, &settings.name, LONGEST).await;
}
