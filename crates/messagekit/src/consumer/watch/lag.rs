//! Reads how far a consumer is behind.

use std::sync::Arc;
use std::time::Duration;

use crate::chain;
use crate::consumer::settings::Settings;
use crate::store::Store;
use crate::transport::LagProbe;

/// Often enough for a scrape every 15 seconds, and seldom enough to cost the backend nothing.
const EVERY: Duration = Duration::from_secs(5);

/// The time limit of an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Records the lag every few seconds; it never ends. An unknown lag is removed, because an old value would hide that it grows.
pub(in crate::consumer) async fn watch_lag<S: Store>(
    settings: Arc<Settings<S>>,
    probe: Option<Arc<dyn LagProbe>>,
) {
    let Some(probe) = probe else { return std::future::pending().await };
    loop {
        let lag = match tokio::time::timeout(DEADLINE, probe.lag()).await {
            Ok(Ok(lag)) => lag,
            Ok(Err(error)) => {
                tracing::debug!(consumer = &*settings.name, error = %chain(&error), "lag is unknown");
                Vec::new()
            }
            Err(_) => {
                tracing::debug!(consumer = &*settings.name, "lag is unknown: no answer within {DEADLINE:?}");
                Vec::new()
            }
        };
        settings.stats.lags(lag);
        tokio::time::sleep(EVERY).await;
    }
}
