//! Reports whether events leave the outbox.

use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::log::TableSources;
use messagekit::operations::{OutboxHealth, OutboxLag, SourceState};
use messagekit::relay::RejectedEvents;
use messagekit::{Error, Store};
use sqlx::PgConnection;

use crate::cdc::{self, Capture};
use crate::tables::table_sources::SetAside;
use crate::tables::{health, table_sources};
use crate::{PostgresStore, SchemaName, migrations};

/// The time for a restart of a connector or a relay, which is not a problem yet.
const RESTART: Duration = Duration::from_secs(30);

/// A database without published events and without capture has no problem: it only consumes.
impl OutboxHealth for PostgresStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.statement(async move {
            let found = health::ping(&mut *self.connection().await?, self.schema()).await?;
            let fit = migrations::compare(found, migrations::latest());
            fit.map_err(|error| error.with("schema", self.schema()))
        }))
    }

    fn rejected_events(&self) -> Option<&dyn RejectedEvents> {
        Some(self)
    }

    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>> {
        // Not a limited read: slow lists must not make the outbox look lost.
        Box::pin(self.statement(async {
            let mut connection = self.connection().await?;
            let capture = Capture::by(&self.pool().connect_options(), self.schema());
            let watch = cdc::watch(&mut connection, &capture).await?;
            let relayed = health::relayed(&mut connection, self.schema()).await?;
            let failing = problems_of_sources(&mut connection, self.schema()).await?;
            if relayed.is_on {
                let health::Waiting { pending, overdue, oldest } = relayed.waiting;
                let mut problems = problems_of_relay(&relayed, &capture, watch.wanted);
                problems.extend(failing);
                return Ok(OutboxLag { pending, overdue, oldest, slot_bytes: watch.slot_bytes, problems });
            }
            let confirmed = match watch.slot {
                true => health::confirmed(&mut connection, self.schema(), &capture.slot).await?,
                false => None,
            };
            let after = confirmed.map(|confirmed| confirmed.at);
            let waiting = health::waiting(&mut connection, self.schema(), after).await?;
            let mut problems = watch.problems;
            if !watch.wanted {
                problems.clear();
                if waiting.pending > 0 {
                    problems.push(format!(
                        "nothing captures this outbox: there is neither the slot {} nor the publication {}, nor the trigger \
                         of a relay: run `messagekit migrate --cdc` and `messagekit connector apply`, or \
                         `messagekit migrate --relay` and `messagekit relay`",
                        capture.slot, capture.publication
                    ));
                }
            }
            if confirmed.is_none_or(|confirmed| confirmed.age > RESTART) {
                problems.extend(watch.unread);
            }
            if watch.slot && confirmed.is_none() && waiting.pending > 0 {
                problems.push(format!(
                    "slot {} stands before the first checkpoint: all events that are kept are counted",
                    capture.slot
                ));
            }
            problems.extend(failing);
            let health::Waiting { pending, overdue, oldest } = waiting;
            Ok(OutboxLag { pending, overdue, oldest, slot_bytes: watch.slot_bytes, problems })
        }))
    }

    fn source_states(&self) -> BoxFuture<'_, Result<Vec<SourceState>, Error>> {
        Box::pin(async {
            let sources = self.sources().await?.into_iter();
            Ok(sources.map(SourceState::from).collect())
        })
    }

    fn checkpoint(&self, every: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let young = self.statement(async {
                health::has_checkpoint(&mut *self.connection().await?, self.schema(), every).await
            });
            if young.await? {
                return Ok(());
            }
            let mut tx = self.begin().await?;
            self.statement(health::checkpoint(&mut tx, self.schema(), every)).await?;
            self.commit(tx).await
        })
    }
}

/// Returns the table sources whose changes become no events, or not all of them.
async fn problems_of_sources(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<Vec<String>, Error> {
    let mut problems = Vec::new();
    for source in table_sources::all(connection, schema).await? {
        problems.extend(
            source.problem().map(|problem| format!("{problem}: `messagekit doctor` prints the repair")),
        );
    }
    for SetAside { topic, table, consumer, rows } in table_sources::set_aside(connection, schema).await? {
        problems.push(format!(
            "events of {rows} rows of {table} for topic {topic} could not be written: look at `messagekit dlq list --consumer '{consumer}'`"
        ));
    }
    Ok(problems)
}

/// Returns the problems that keep a relay from publishing.
fn problems_of_relay(relayed: &health::Relayed, capture: &Capture, captured: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if !relayed.is_open {
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
    if relayed.is_open && !relayed.has_relay && relayed.waiting.oldest.is_some_and(|age| age > RESTART) {
        problems.push("no relay lives: run `messagekit relay`".to_owned());
    }
    if relayed.refused > 0 {
        problems.push(format!(
            "the broker has refused {} events, and {} wait behind them: look at `messagekit outbox rejected list`",
            relayed.refused, relayed.behind
        ));
    }
    problems
}
