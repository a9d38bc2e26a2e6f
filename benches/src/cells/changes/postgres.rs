//! Rows of PostgreSQL.

use std::sync::Arc;
use std::time::Instant;

use messagekit::log::OnSourceFailure;
use messagekit_topics::Topics;
use sqlx::{Connection, PgConnection};

use super::fixture::{FIGURE, TOPIC, Way};
use crate::frame::{Measured, Meter, Outcome};
use crate::resources::Database;
use crate::settings::Settings;

const TABLE: &str = "CREATE TABLE public.orders (number bigint PRIMARY KEY, account text NOT NULL, status text NOT NULL, total int NOT NULL)";

const INSERT: &str = "INSERT INTO public.orders
  SELECT n, 'account-' || n % 1000, 'open', 100 + n % 50 FROM generate_series($1::bigint, $1 + $2 - 1) n";

/// The same event as a source writes, in the statement of the row.
const BY_HAND: &str = "WITH o AS (
    INSERT INTO public.orders
    SELECT n, 'account-' || n % 1000, 'open', 100 + n % 50 FROM generate_series($1::bigint, $1 + $2 - 1) n RETURNING *),
  e AS (SELECT messagekit.new_id() AS id, o.account, to_json(o)::text AS row FROM o OFFSET 0)
  INSERT INTO messagekit.outbox_events (event_id, topic, event_type, aggregate_id, payload, content_type, headers, occurred_at)
  SELECT e.id, 'bench.orders', 'bench.orders.inserted', e.account,
    convert_to('{\"eventId\":\"' || e.id || '\",\"eventType\":\"bench.orders.inserted\",\"aggregateId\":' || to_json(e.account)
      || ',\"occurredAt\":\"' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
      || '\",\"source\":\"bench\",\"dataVersion\":\"1.0\",\"row\":' || e.row || '}', 'UTF8'),
    'application/json', '{\"op\": \"insert\", \"sourceTable\": \"public.orders\"}', clock_timestamp()
  FROM e";

const IN_TABLE: &str = "SELECT account, number FROM public.orders ORDER BY number";
const IN_OUTBOX: &str =
    "SELECT aggregate_id, (convert_from(payload, 'UTF8')::json -> 'row' ->> 'number')::bigint
  FROM messagekit.outbox_events ORDER BY seq";
const WAITING: &str = "SELECT key, (convert_from(payload, 'UTF8')::json -> 'row' ->> 'number')::bigint
  FROM messagekit.topic_waiting ORDER BY seq";

pub(super) async fn write(
    settings: Arc<Settings>,
    way: Way,
    statements: usize,
    rows: usize,
) -> Outcome<Measured> {
    let database = Database::migrated(settings.database()?).await?;
    database.execute(TABLE.to_owned()).await?;
    let store = database.store().await?;
    add_source(&Topics::of(store), way).await?;
    let mut connection = PgConnection::connect(&database.url).await?;
    let statement = if way == Way::ByHand { BY_HAND } else { INSERT };
    let count = i64::try_from(rows)?;
    // The first run of a statement prepares it, and compiles the trigger function.
    let mut tx = connection.begin().await?;
    sqlx::query(statement).bind(-1_000_000_i64).bind(count).execute(&mut *tx).await?;
    tx.rollback().await?;
    let meter = Meter::start(settings.parts());
    let began = Instant::now();
    for number in 0..statements {
        let from = i64::try_from(number)? * count;
        sqlx::query(statement).bind(from).bind(count).execute(&mut connection).await?;
    }
    let (written, seconds) = (statements * rows, began.elapsed().as_secs_f64());
    let judged = match way {
        Way::Plain => IN_TABLE,
        Way::Kept => WAITING,
        Way::ByHand | Way::Source | Way::SetAside => IN_OUTBOX,
    };
    let measured = Measured::new(database.judge(written, judged).await?);
    Ok(measured.with(FIGURE, written as f64 / seconds).with_all(meter.per_100k(written)))
}

async fn add_source(topics: &Topics<messagekit_postgres::PostgresStore>, way: Way) -> Outcome<()> {
    if way == Way::Kept {
        topics.untyped(TOPIC).open().await?;
    }
    let source = topics.source("public.orders").partition_by("account");
    match way {
        Way::Plain | Way::ByHand => return Ok(()),
        Way::Source | Way::Kept => source.add(TOPIC).await?,
        Way::SetAside => source.on_failure(OnSourceFailure::SetAside).add(TOPIC).await?,
    };
    Ok(())
}
