//! Measures an outbox: who publishes, what has not left, and why. Health and status answer from it.

use std::time::Duration;

use messagekit::operations::{OutboxLag, PublisherMode, PublisherState};
use messagekit::{Error, Store};
use sqlx::{Executor, PgConnection};

use crate::cdc::{self, Capture};
use crate::error::from_sqlx;
use crate::tables::outbox_counts::{Relayed, SETTINGS, Waiting, counted, relayed, waiting};
use crate::tables::table_sources::SetAside;
use crate::tables::{health, table_sources};
use crate::{PgTx, PostgresStore, SchemaName};

/// The time for a restart of a connector or a relay, which is not a problem yet.
const RESTART: Duration = Duration::from_secs(30);

/// An outbox at one moment.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) publisher: PublisherState,
    pub(crate) lag: OutboxLag,
}

impl PostgresStore {
    /// Begins a transaction whose counts read a bounded number of rows.
    pub(crate) async fn begin_counts(&self) -> Result<PgTx, Error> {
        let mut tx = self.begin().await?;
        (&mut *tx).execute(sqlx::raw_sql(SETTINGS)).await.map_err(from_sqlx)?;
        Ok(tx)
    }

    /// Measures the outbox. However many events it keeps, this reads a bounded number of them.
    pub(crate) async fn measured(&self, connection: &mut PgConnection) -> Result<Measured, Error> {
        let capture = Capture::by(&self.pool().connect_options(), self.schema());
        let watch = cdc::watch(connection, &capture).await?;
        let relayed = relayed(connection, self.schema()).await?;
        let failing = problems_of_sources(connection, self.schema()).await?;
        let slot_bytes = watch.slot_bytes;
        let (publisher, waiting, mut problems) = match relayed.is_on {
            true => {
                let problems = problems_of_relay(&relayed, &capture, watch.wanted);
                let has_relay = Some(relayed.has_relay);
                let mode = Some(PublisherMode::Relay);
                (PublisherState { mode, has_relay, confirmed_at: None }, relayed.waiting, problems)
            }
            false => self.captured_so_far(connection, &capture, watch).await?,
        };
        problems.extend(failing);
        let Waiting { pending, overdue, oldest } = waiting;
        let lag = OutboxLag { pending, overdue, oldest, slot_bytes, problems };
        Ok(Measured { publisher, lag })
    }

    /// Measures what a slot has not passed. A slot that is lost or missing is found without a count.
    async fn captured_so_far(
        &self,
        connection: &mut PgConnection,
        capture: &Capture,
        watch: cdc::Watch,
    ) -> Result<(PublisherState, Waiting, Vec<String>), Error> {
        let confirmed = match watch.slot {
            true => health::confirmed(connection, self.schema(), &capture.slot).await?,
            false => None,
        };
        let after = confirmed.map(|confirmed| confirmed.at);
        let waiting = waiting(connection, self.schema(), after).await?;
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
        let confirmed_at = after.map(|at| at.to_jiff());
        let mode = watch.wanted.then_some(PublisherMode::Debezium);
        Ok((PublisherState { mode, has_relay: None, confirmed_at }, waiting, problems))
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
        let rows = counted(rows.unsigned_abs());
        problems.push(format!(
            "events of {rows} rows of {table} for topic {topic} could not be written: look at `messagekit dlq list --consumer '{consumer}'`"
        ));
    }
    Ok(problems)
}

/// Returns the problems that keep a relay from publishing.
fn problems_of_relay(relayed: &Relayed, capture: &Capture, captured: bool) -> Vec<String> {
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
            counted(relayed.refused),
            counted(relayed.behind)
        ));
    }
    problems
}
