//! The operator: discards every dead failed message, which releases the messages behind it.

use std::time::Duration;

use messagekit::operations::{Action, FailedMessageFilter, FailedMessageState, FailedMessages, Operator};
use messagekit::{Error, Shutdown};
use messagekit_sqlite::SqliteStore;

/// The number of failed messages that one action discards.
const AT_ONCE: u32 = 20;
/// The pause of the operator between two checks: keys are blocked meanwhile.
const BETWEEN_LOOKS: Duration = Duration::from_millis(40);

/// Discards failed messages until shutdown.
pub(crate) async fn run(store: &SqliteStore, shutdown: &Shutdown) -> Result<(), Error> {
    let operator = Operator::new("operator", "test");
    let dead =
        FailedMessageFilter { state: Some(FailedMessageState::Dead), ..FailedMessageFilter::default() };
    while !shutdown.is_requested() {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let failed_messages = store.ids(&dead, AT_ONCE).await?;
        if !failed_messages.is_empty() {
            store.act(Action::Discard, &failed_messages, &operator).await?;
        }
    }
    Ok(())
}
