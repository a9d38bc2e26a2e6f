//! A4: the health of an outbox over HTTP, beside many kept events, when its slot is lost.

use std::sync::Arc;
use std::time::Instant;

use messagekit_postgres::SchemaName;
use messagekit_postgres::cdc::{self, Capture};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::serving;
use crate::frame::{Better, Cell, Contender, Goal, Measured, Outcome, Plan, Role, Target, quantile};
use crate::resources::Database;
use crate::settings::Settings;

pub(crate) const A4: Cell = Cell {
    id: "A4",
    title: "the health of an outbox whose slot is lost",
    figure: "ms/probe",
    better: Better::Lower,
    plan,
};

const FEW: (&str, usize) = ("beside 100,000 kept events", 100_000);
const MORE: [(&str, usize); 2] =
    [("beside 5,000,000 kept events", 5_000_000), ("beside 20,000,000 kept events", 20_000_000)];
const PROBES: usize = 100;
/// Number of events in one statement.
const TOGETHER: usize = 1_000_000;
/// The log that is written at once until the server gives up the slot, and how often at most.
const LOG: &str = "SELECT count(pg_logical_emit_message(false, 'bench', repeat('x', 1000000))) FROM generate_series(1, 256)";
const MOST_LOGS: usize = 40;

fn plan(settings: Arc<Settings>) -> Plan {
    let sizes: Vec<(&str, usize)> = [FEW].into_iter().chain(MORE).collect();
    let kept = sizes.iter().map(|(_, kept)| settings.scaled(*kept).to_string());
    let text = format!("{} kept events of 300 bytes; {PROBES} probes", kept.collect::<Vec<_>>().join(", "));
    let contenders = sizes.into_iter().map(|(name, kept)| {
        let (settings, kept) = (Arc::clone(&settings), settings.scaled(kept));
        Contender::new("", name, Role::Ours, move || probe(Arc::clone(&settings), kept))
    });
    let goals = MORE.map(|(over, _)| Goal {
        group: String::new(),
        figure: A4.figure,
        over,
        under: Some(FEW.0),
        target: Target::AtMost(2.0),
    });
    Plan { sizes: text, contenders: contenders.collect(), goals: goals.into() }
}

async fn probe(settings: Arc<Settings>, kept: usize) -> Outcome<Measured> {
    let database = Database::for_debezium(settings.database()?, &settings.program()?).await?;
    let mut connection = PgConnection::connect(&database.url).await?;
    let schema = SchemaName::default();
    let measured = async {
        fill(&mut connection, kept).await?;
        lose(&mut connection, &Capture::of(&database.url, &schema)?.slot).await?;
        probes(&database).await
    };
    let measured = measured.await;
    cdc::drop_slot(&database.url, &schema).await?;
    measured
}

async fn probes(database: &Database) -> Outcome<Measured> {
    database.settle().await?;
    let mut serving = serving(database).await?;
    let mut took = Vec::new();
    // The first one is not counted.
    for _ in 0..=PROBES {
        let began = Instant::now();
        let answer = serving.client.probe("/health/outbox").await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        let outbox = &answer["checks"]["outbox"];
        if !outbox["problems"].to_string().contains("is lost") || outbox["pending_count"].is_null() {
            return Err(format!("the health of a lost slot is {outbox}").into());
        }
    }
    serving.end().await?;
    took.remove(0);
    took.sort_by(f64::total_cmp);
    Ok(Measured::default().with(A4.figure, quantile(&took, 0.5)).with("p99 ms", quantile(&took, 0.99)))
}

/// Writes a week of events.
async fn fill(connection: &mut PgConnection, kept: usize) -> Outcome<()> {
    for first in (1..=kept).step_by(TOGETHER) {
        let last = (first + TOGETHER - 1).min(kept);
        let insert = format!(
            "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, created_at)
             SELECT 'e-' || n, 'orders.order', 'k-' || n % 10000, convert_to(repeat('x', 300), 'UTF8'),
               now() - interval '7 days' * (1 - n::float8 / {kept})
             FROM generate_series({first}, {last}) n"
        );
        sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Writes log until the server has removed what the slot needs.
async fn lose(connection: &mut PgConnection, slot: &str) -> Outcome<()> {
    let is_lost = "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = $1";
    for _ in 0..MOST_LOGS {
        sqlx::raw_sql("CHECKPOINT").execute(&mut *connection).await?;
        if sqlx::query_scalar(is_lost).bind(slot).fetch_one(&mut *connection).await? {
            return Ok(());
        }
        sqlx::raw_sql(LOG).execute(&mut *connection).await?;
    }
    Err("the server keeps the slot: give it a max_slot_wal_keep_size of a few GB".into())
}
