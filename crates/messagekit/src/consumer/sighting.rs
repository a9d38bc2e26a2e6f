//! Notes that a consumer runs.

use std::sync::Arc;
use std::time::Duration;

use super::settings::Settings;
use crate::chain;
use crate::store::Inbox;

/// Three of them fit into the time within which a consumer is seen.
const EVERY: Duration = Duration::from_secs(10);

/// Records the window of the consumer every few seconds; it never ends. Its time tells operators that a process runs, whether gates
/// hold it back or not, and old windows expire.
pub(super) async fn note<S: Inbox>(settings: Arc<Settings<S>>) {
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
    }
}
