//! A2: one event and the status over HTTP, in a database with many rows.

use std::sync::Arc;
use std::time::Instant;

use messagekit_postgres::statements;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres};

use super::{FAILED_MESSAGES, failed_messages, serving};
use crate::frame::{Better, Cell, Contender, Goal, Measured, Outcome, Plan, Role, Target};
use crate::resources::Database;
use crate::settings::Settings;

pub(crate) const A2: Cell = Cell {
    id: "A2",
    title: "one event, and the status of a large database",
    figure: "ms/status",
    better: Better::Lower,
    plan,
};

const EVENTS: usize = 1_000_000;
const LOOKUPS: u32 = 200;
const STATUSES: u32 = 20;
/// How many rows a statement lists at most.
const LISTED: i64 = 100;
const ADMIN: &str = "over HTTP";
const EVENT: &str = "ms/event";
const STATEMENTS: &str = "ms of its statements by hand";
const TIMES: &str = "times its statements";

fn plan(settings: Arc<Settings>) -> Plan {
    let (events, failed) = (settings.scaled(EVENTS), settings.scaled(FAILED_MESSAGES));
    let contender =
        Contender::new("", ADMIN, Role::Ours, move || measure(Arc::clone(&settings), events, failed));
    let goal = |figure, limit| Goal {
        group: String::new(),
        figure,
        over: ADMIN,
        under: None,
        target: Target::AtMost(limit),
    };
    Plan {
        sizes: format!("{events} events, as many links and markers, {failed} failed messages"),
        contenders: vec![contender],
        goals: vec![goal(A2.figure, 50.0), goal(TIMES, 3.0)],
    }
}

async fn measure(settings: Arc<Settings>, events: usize, failed: usize) -> Outcome<Measured> {
    let database = Database::migrated(settings.database()?).await?;
    let mut connection = PgConnection::connect(&database.url).await?;
    failed_messages::fill(&mut connection, u32::try_from(failed)?).await?;
    fill(&mut connection, events).await?;

    let mut serving = serving(&database).await?;
    let ids: Vec<String> =
        (0..LOOKUPS as usize).map(|number| format!("e-{}", 1 + number * events / LOOKUPS as usize)).collect();
    // Each first one is not counted.
    serving.client.get("/api/v1/status").await?;
    let began = Instant::now();
    for _ in 0..STATUSES {
        serving.client.get("/api/v1/status").await?;
    }
    let status = milliseconds(began, STATUSES);
    serving.client.get("/api/v1/events/e-2").await?;
    let began = Instant::now();
    for id in &ids {
        serving.client.get(&format!("/api/v1/events/{id}")).await?;
    }
    let event = milliseconds(began, LOOKUPS);
    look(&mut connection, "e-2").await?;
    let began = Instant::now();
    for id in &ids {
        look(&mut connection, id).await?;
    }
    let by_hand = milliseconds(began, LOOKUPS);
    serving.end().await?;
    Ok(Measured::default()
        .with(A2.figure, status)
        .with(EVENT, event)
        .with(STATEMENTS, by_hand)
        .with(TIMES, event / by_hand))
}

/// Returns the milliseconds of one of `times` runs.
fn milliseconds(began: Instant, times: u32) -> f64 {
    began.elapsed().as_secs_f64() * 1e3 / f64::from(times)
}

/// Writes events of which each has caused the next but every tenth, with a marker of each.
async fn fill(connection: &mut PgConnection, events: usize) -> Outcome<()> {
    for statement in [
        format!(
            "INSERT INTO messagekit.outbox_events (event_id, event_type, topic, aggregate_id, payload)
             SELECT 'e-' || n, 'orders.order.placed', 'orders.order', 'k-' || n % 10000, convert_to(repeat('x', 300), 'UTF8')
             FROM generate_series(1, {events}) n"
        ),
        format!(
            "INSERT INTO messagekit.outbox_links (event_id, correlation_id, causation_id)
             SELECT 'e-' || n, 'e-' || n - n % 10, CASE WHEN n % 10 > 0 THEN 'e-' || n - 1 END
             FROM generate_series(1, {events}) n"
        ),
        format!(
            "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, day)
             SELECT 'billing', 'e-' || n, 'done', messagekit.day_of('e-' || n) FROM generate_series(1, {events}) n"
        ),
        "VACUUM ANALYZE messagekit.outbox_events".to_owned(),
        "VACUUM ANALYZE messagekit.outbox_links".to_owned(),
        "VACUUM ANALYZE messagekit.processed_messages".to_owned(),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Runs the statements of one lookup one after the other, and reads nothing of their rows. Its walk to causes and effects is
/// as long as the chain of ten.
async fn look(connection: &mut PgConnection, id: &str) -> Outcome<()> {
    let mut queries = vec![
        statement("history_event")?.bind(id.to_owned()),
        statement("history_publisher")?.bind("no_slot").bind("no_publication"),
        statement("history_failed_messages")?.bind(id.to_owned()).bind(LISTED),
        statement("replays")?.bind(None::<i64>).bind(2 * LISTED),
        statement("history_outcomes")?.bind(id.to_owned()).bind(LISTED),
        statement("history_failures")?.bind(id.to_owned()).bind(LISTED),
        statement("history_republished")?.bind(id.to_owned()).bind(LISTED),
        statement("history_actions")?
            .bind(Vec::<i64>::new())
            .bind(Vec::<String>::new())
            .bind(id.to_owned())
            .bind(LISTED),
    ];
    let number: usize = id.trim_start_matches("e-").parse()?;
    let first = number - number % 10;
    // Each step asks for the next cause and for the effects of the step before.
    let steps = (number - first).max(first + 10 - number);
    for step in 0..steps {
        let causes: Vec<String> =
            number.checked_sub(step + 1).map(|cause| format!("e-{cause}")).into_iter().collect();
        let query = statement("history_linked")?;
        queries.push(query.bind(causes).bind(vec![format!("e-{}", number + step)]).bind(202_i64));
    }
    for query in queries {
        query.fetch_all(&mut *connection).await?;
    }
    Ok(())
}

fn statement(name: &str) -> Outcome<Query<'static, Postgres, PgArguments>> {
    let found = statements().iter().find(|(known, _)| *known == name);
    let (_, text) = found.ok_or_else(|| format!("there is no statement {name}"))?;
    Ok(sqlx::query(*text).persistent(false))
}
