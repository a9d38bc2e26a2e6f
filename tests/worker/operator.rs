//! The operator: gives up whatever is dead, so that what waits behind it goes on.

use std::time::Duration;

use messagekit::{
    Action, Error, FailedMessageFilter, FailedMessageState, FailedMessages, Operator, Shutdown,
};
use messagekit_sqlite::SqliteStore;

/// How many failed messages one act discards.
const AT_ONCE: u32 = 20;
/// How long the operator looks away: keys are held meanwhile.
const BETWEEN_LOOKS: Duration = Duration::from_millis(40);

/// Discards failed messages until asked to end.
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
