//! What keeps events from leaving an outbox, in words.

use std::time::Duration;

use messagekit::Error;
use messagekit::operations::{rejected_problem, source_problems};
use sqlx::PgConnection;

use crate::SchemaName;
use crate::cdc::Capture;
use crate::tables::outbox_counts::{Relays, Waiting, counted};
use crate::tables::table_sources::{self, SetAside};

/// The time for a restart of a connector or a relay, which is not a problem yet.
pub(crate) const RESTART: Duration = Duration::from_secs(30);

/// Returns the table sources whose changes become no events.
pub(crate) async fn of_sources(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<Vec<String>, Error> {
    let sources = table_sources::all(connection, schema).await?;
    Ok(source_problems(&sources).collect())
}

/// Returns the table sources some of whose changes became no events.
pub(crate) async fn of_failed_rows(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<Vec<String>, Error> {
    let sources = table_sources::set_aside(connection, schema).await?.into_iter();
    let problems = sources.map(|SetAside { topic, table, consumer, rows }| {
        let rows = counted(rows.unsigned_abs());
        format!(
            "events of {rows} rows of {table} for topic {topic} could not be written: look at `messagekit dlq list --consumer '{consumer}'`"
        )
    });
    Ok(problems.collect())
}

/// Returns the problems that keep a relay from publishing.
pub(crate) fn of_relays(relays: &Relays, capture: &Capture, captured: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if !relays.is_open {
        problems.push(
            "the switch to the relay is not complete, and until then no relay publishes: run `messagekit migrate --relay`"
                .to_owned(),
        );
    } else if captured {
        problems.push(format!(
            "this outbox has a relay, and the slot {} or the publication {} too: events go out twice, or the slot keeps the \
             log for nobody: run `messagekit connector delete --slot`",
            capture.slot, capture.publication
        ));
    }
    if relays.refused > 0 {
        problems.push(rejected_problem(counted(relays.refused), counted(relays.behind)));
    }
    problems
}

/// Returns the problem of events that no relay takes.
pub(crate) fn of_missing_relay(relays: &Relays, waiting: &Waiting) -> Option<String> {
    let is_late = waiting.oldest.is_some_and(|age| age > RESTART);
    (relays.is_open && !relays.has_relay && is_late)
        .then(|| "no relay lives: run `messagekit relay`".to_owned())
}

/// Returns the problem of events that nothing captures.
pub(crate) fn of_no_capture(capture: &Capture) -> String {
    format!(
        "nothing captures this outbox: there is neither the slot {} nor the publication {}, nor the trigger of a relay: run \
         `messagekit migrate --cdc` and `messagekit connector apply`, or `messagekit migrate --relay` and `messagekit relay`",
        capture.slot, capture.publication
    )
}

/// Returns the problem of a position whose time is not known.
pub(crate) fn of_no_checkpoint(capture: &Capture) -> String {
    format!("slot {} stands before the first checkpoint: all events that are kept are counted", capture.slot)
}
