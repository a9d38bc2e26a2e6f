//! C1: claim, one effect, commit. It compares the consumer with the same statements by hand. Both read from memory, which keeps
//! the broker out of the measurement.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use messagekit::adapter::BatchLimit;
use messagekit::{Consumer, Envelope, HandlerError, Message, Shutdown, headers};
use messagekit_memory::MemoryLog;
use messagekit_postgres::{PgTx, PostgresStore};
use sqlx::PgPool;

use crate::events::{Made, TOPIC, messages, publish};
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target, pace};
use crate::raw::outbox::key;
use crate::resources::Database;
use crate::settings::Settings;

pub(crate) const C1: Cell = Cell {
    id: "C1",
    title: "consume: claim, effect, commit",
    figure: "events/s",
    better: Better::Higher,
    plan,
};

/// Messages per transaction, lanes, events, one duplicate in so many, and the required ratio to the statements by hand.
const SIZES: [(u32, usize, usize, usize, f64); 6] = [
    (1, 1, 3_000, 0, 0.8),
    (1, 8, 12_000, 0, 0.8),
    (50, 1, 30_000, 0, 0.6),
    (50, 8, 40_000, 0, 0.6),
    (50, 8, 40_000, 10, 0.6),
    (500, 1, 40_000, 0, 0.6),
];

const HAND: &str = "the same statements by hand";
const OURS: &str = "messagekit consumer";

pub(crate) const EFFECTS: &str = "CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account text NOT NULL, number bigint NOT NULL)";

/// The effects in the order in which they were applied.
pub(crate) const APPLIED: &str = "SELECT account, number FROM effects ORDER BY id";

pub(super) const EFFECT: &str = "INSERT INTO effects (account, number) VALUES ($1, $2)";

pub(super) const CLAIM: &str = "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome)
    SELECT $1, id, 'done' FROM unnest($2::text[]) id ORDER BY id ON CONFLICT DO NOTHING RETURNING message_id";

pub(super) const ADVANCE: &str = "INSERT INTO messagekit.consumer_offsets AS known (consumer, topic, partition, next) VALUES ($1, $2, $3, $4)
    ON CONFLICT (consumer, topic, partition, key_lane) DO UPDATE SET next = greatest(known.next, excluded.next)";

fn plan(settings: Arc<Settings>) -> Plan {
    let (mut contenders, mut goals) = (Vec::new(), Vec::new());
    for (batch, lanes, events, every, part) in SIZES {
        let copies = if every == 0 { String::new() } else { format!(", one of {every} a duplicate") };
        let plural = if lanes == 1 { "" } else { "s" };
        let group = format!("{batch} in a transaction, {lanes} lane{plural}{copies}");
        let size = Size { batch: Some(batch), lanes, events: settings.scaled(events), every };
        for (name, role) in [(HAND, Role::Limit), (OURS, Role::Ours)] {
            let settings = Arc::clone(&settings);
            contenders.push(Contender::new(&*group, name, role, move || {
                consume(Arc::clone(&settings), size, role)
            }));
        }
        let target = Target::AtLeast(part);
        goals.push(Goal { group, figure: C1.figure, over: OURS, under: Some(HAND), target });
    }
    Plan {
        sizes:
            "1 KiB each, read from memory; by hand nothing is decoded; behind the first batch of each lane"
                .to_owned(),
        contenders,
        goals,
    }
}

/// The size of a run.
#[derive(Clone, Copy)]
pub(super) struct Size {
    /// Messages per transaction, or `None` for the consumer's default.
    pub(super) batch: Option<u32>,
    pub(super) lanes: usize,
    pub(super) events: usize,
    /// One duplicate in this many events, or 0 for none.
    pub(super) every: usize,
}

impl Size {
    fn batch(self) -> u32 {
        self.batch.unwrap_or(BatchLimit::DEFAULT.messages.get())
    }
}

pub(super) async fn consume(settings: Arc<Settings>, size: Size, role: Role) -> Outcome<Measured> {
    let database = Database::migrated(settings.database()?).await?;
    database.execute(EFFECTS.to_owned()).await?;
    let store = database.store().await?;
    let (log, arrivals) = fill(size).await?;
    let meter = Meter::start(settings.parts());
    let rate = match role {
        Role::Ours => ours(store, log, size, arrivals).await?,
        Role::Limit | Role::Peer => {
            let walk = |lane, messages| walk(store.pool().clone(), lane, messages, size.batch());
            arrivals as f64 / by_hand(log, walk).await?
        }
    };
    let cpu = meter.per_100k(arrivals);
    let ledger = database.judge(size.events, APPLIED).await?;
    Ok(Measured::new(ledger).with(C1.figure, rate).with_all(cpu))
}

/// Creates a topic with some duplicate events, and returns the number of its records.
pub(super) async fn fill(size: Size) -> Outcome<(MemoryLog, usize)> {
    let log = MemoryLog::new(size.lanes);
    let mut arrivals = 0;
    for batch in messages(size.events)?.chunks(500) {
        let copies =
            batch.iter().step_by(size.every.max(1)).take(if size.every == 0 { 0 } else { batch.len() });
        let all: Vec<Message> = batch.iter().chain(copies).cloned().collect();
        arrivals += all.len();
        publish(&log, &all).await?;
    }
    Ok((log, arrivals))
}

pub(super) async fn apply(tx: &mut PgTx, event: Envelope<Made>) -> Result<(), HandlerError> {
    let number = i64::try_from(event.data.number).map_err(HandlerError::permanent)?;
    sqlx::query(EFFECT).bind(&event.data.account).bind(number).execute(&mut **tx).await?;
    Ok(())
}

async fn ours(store: PostgresStore, log: MemoryLog, size: Size, arrivals: usize) -> Outcome<f64> {
    let mut consumer = Consumer::builder("bench", store).from(log.topics([TOPIC])).on(apply);
    if let Some(batch) = size.batch {
        let messages = NonZeroU32::new(batch).ok_or("a batch of nothing")?;
        consumer = consumer.batch(BatchLimit { messages, time: Duration::from_secs(1) });
    }
    let consumer = consumer.build()?;
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    let done = || {
        let stats = stats.read();
        stats.handled + stats.duplicates
    };
    // The first batch opens connections and is recorded as a whole.
    let rate = pace(arrivals, size.lanes * size.batch() as usize, done, || running.is_finished()).await?;
    shutdown.request();
    running.await??;
    Ok(rate)
}

/// Consumes these events for O1, and returns the rate.
pub(super) async fn traced(url: &str, messages: &[Message]) -> Outcome<f64> {
    let store = PostgresStore::options().max_connections(80).connect(url).await?;
    let size = Size { batch: Some(50), lanes: 8, events: messages.len(), every: 0 };
    let log = MemoryLog::new(size.lanes);
    for batch in messages.chunks(500) {
        publish(&log, batch).await?;
    }
    ours(store, log, size, size.events).await
}

/// Processes each lane in its own task, and returns the seconds.
pub(super) async fn by_hand<F>(log: MemoryLog, walk: impl Fn(i32, Vec<(Message, i64)>) -> F) -> Outcome<f64>
where
    F: Future<Output = Outcome<()>> + Send + 'static,
{
    let mut lanes: BTreeMap<i32, Vec<(Message, i64)>> = BTreeMap::new();
    for record in log.records(TOPIC) {
        let number = number(&record.message)?;
        lanes.entry(record.position.partition).or_default().push((record.message, number));
    }
    let began = Instant::now();
    let tasks = lanes.into_iter().map(|(lane, messages)| tokio::spawn(walk(lane, messages)));
    for task in try_join_all(tasks).await? {
        task?;
    }
    Ok(began.elapsed().as_secs_f64())
}

async fn walk(pool: PgPool, lane: i32, messages: Vec<(Message, i64)>, batch: u32) -> Outcome<()> {
    let mut next = 0_i64;
    for batch in messages.chunks(batch as usize) {
        let ids: Vec<&str> =
            batch.iter().filter_map(|(message, _)| message.headers.text(headers::ID)).collect();
        let mut tx = pool.begin().await?;
        let mut fresh: std::collections::HashSet<String> = sqlx::query_scalar(CLAIM)
            .bind("hand")
            .bind(&ids)
            .fetch_all(&mut *tx)
            .await?
            .into_iter()
            .collect();
        for (message, number) in batch {
            if message.headers.text(headers::ID).is_some_and(|id| fresh.remove(id)) {
                sqlx::query(EFFECT).bind(key(message)?).bind(number).execute(&mut *tx).await?;
            }
        }
        next += i64::try_from(batch.len())?;
        sqlx::query(ADVANCE).bind("hand").bind(TOPIC).bind(lane).bind(next).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn number(message: &Message) -> Outcome<i64> {
    let payload: serde_json::Value = serde_json::from_slice(&message.payload)?;
    Ok(payload["number"].as_i64().ok_or("an event without a number")?)
}
