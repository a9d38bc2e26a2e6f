//! C3: handlers that fail. It compares the consumer, which rolls back and runs the other messages again, with a savepoint around
//! each message. A savepoint costs two round trips whether a handler fails or not.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::BatchLimit;
use messagekit::{Consumer, Envelope, HandlerError, Message, OnFailure, Shutdown, headers};
use messagekit_memory::MemoryLog;
use messagekit_postgres::{PgTx, PostgresStore};
use sqlx::{Executor, PgPool};

use super::consume::{ADVANCE, CLAIM, EFFECT, EFFECTS, Size, by_hand, fill};
use crate::events::{Made, TOPIC};
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target, pace};
use crate::raw::outbox::key;
use crate::resources::Database;
use crate::settings::Settings;

pub(crate) const C3: Cell =
    Cell { id: "C3", title: "consume: handlers that fail", figure: "events/s", better: Better::Higher, plan };

/// One failure in this many messages, or 0 for none.
const RATES: [u64; 4] = [0, 1_000, 50, 10];
const EVENTS: usize = 20_000;
const BATCH: u32 = 50;
const LANES: usize = 4;

const HAND: &str = "a savepoint around each message";
const OURS: &str = "messagekit consumer";

const SET_ASIDE: &str = "WITH marker AS (
      UPDATE messagekit.processed_messages SET outcome = 'held' WHERE consumer = 'hand' AND message_id = $1)
    INSERT INTO messagekit.failed_messages
      (consumer, message_id, topic, key, state, reason, attempts, headers, payload, kind, error, fingerprint)
    VALUES ('hand', $1, $2, $3, 'dead', 'set_aside', 1, '[]', $4, 'failed', 'no stock', 'f')";

/// Effects in their order. A failed message counts as its effect.
const HANDLED: &str = "SELECT account, number FROM (
      SELECT 0 AS kind, id, account, number FROM effects
      UNION ALL
      SELECT 1, id, 'failed_message of ' || convert_from(key, 'UTF8'), (convert_from(payload, 'UTF8')::json ->> 'number')::bigint
      FROM messagekit.failed_messages) handled ORDER BY kind, id";

fn plan(settings: Arc<Settings>) -> Plan {
    let (mut contenders, mut goals) = (Vec::new(), Vec::new());
    let events = settings.scaled(EVENTS);
    for every in RATES {
        let group = if every == 0 { "none fails".to_owned() } else { format!("one of {every} fails") };
        for (name, role) in [(HAND, Role::Limit), (OURS, Role::Ours)] {
            let settings = Arc::clone(&settings);
            contenders.push(Contender::new(&*group, name, role, move || {
                consume(Arc::clone(&settings), events, every, role)
            }));
        }
        let target = Target::AtLeast(1.0);
        goals.push(Goal { group, figure: C3.figure, over: OURS, under: Some(HAND), target });
    }
    let sizes = format!(
        "{events} events of 1 KiB, {BATCH} in a transaction, {LANES} lanes; a message that fails becomes a failed message at once"
    );
    Plan { sizes, contenders, goals }
}

async fn consume(settings: Arc<Settings>, events: usize, every: u64, role: Role) -> Outcome<Measured> {
    let database = Database::migrated(settings.database()?).await?;
    database.execute(EFFECTS.to_owned()).await?;
    let store = database.store().await?;
    let (log, arrivals) = fill(Size { batch: Some(BATCH), lanes: LANES, events, every: 0 }).await?;
    let meter = Meter::start(settings.parts());
    let rate = match role {
        Role::Ours => ours(store, log, every, arrivals).await?,
        Role::Limit | Role::Peer => {
            let walk = |lane, messages| walk(store.pool().clone(), lane, messages, every);
            arrivals as f64 / by_hand(log, walk).await?
        }
    };
    let cpu = meter.per_100k(arrivals);
    let ledger = database.judge(events, HANDLED).await?;
    Ok(Measured::new(ledger).with(C3.figure, rate).with_all(cpu))
}

fn fails(number: i64, every: u64) -> bool {
    every > 0 && number.unsigned_abs() % every == every / 2
}

async fn apply<const EVERY: u64>(tx: &mut PgTx, event: Envelope<Made>) -> Result<(), HandlerError> {
    let number = i64::try_from(event.data.number).map_err(HandlerError::permanent)?;
    sqlx::query(EFFECT).bind(&event.data.account).bind(number).execute(&mut **tx).await?;
    if fails(number, EVERY) { Err(HandlerError::permanent("no stock")) } else { Ok(()) }
}

async fn ours(store: PostgresStore, log: MemoryLog, every: u64, arrivals: usize) -> Outcome<f64> {
    let messages = NonZeroU32::new(BATCH).ok_or("a batch of nothing")?;
    let consumer = Consumer::builder("bench", store).from(log.topics([TOPIC]));
    let consumer = match every {
        0 => consumer.on(apply::<0>),
        1_000 => consumer.on(apply::<1_000>),
        50 => consumer.on(apply::<50>),
        10 => consumer.on(apply::<10>),
        _ => return Err("a rate that no handler has".into()),
    };
    let consumer = consumer
        .on_failure(OnFailure::DeadLetter)
        .batch(BatchLimit { messages, time: Duration::from_secs(1) })
        .build()?;
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    let done = || {
        let stats = stats.read();
        stats.handled + stats.dead
    };
    // The first batch opens connections and is recorded as a whole.
    let rate = pace(arrivals, LANES * BATCH as usize, done, || running.is_finished()).await?;
    shutdown.request();
    running.await??;
    Ok(rate)
}

async fn walk(pool: PgPool, lane: i32, messages: Vec<(Message, i64)>, every: u64) -> Outcome<()> {
    let mut next = 0_i64;
    for batch in messages.chunks(BATCH as usize) {
        let ids: Vec<&str> =
            batch.iter().filter_map(|(message, _)| message.headers.text(headers::ID)).collect();
        let mut tx = pool.begin().await?;
        let claim = sqlx::query_scalar(CLAIM).bind("hand").bind(&ids);
        let mut fresh: HashSet<String> = claim.fetch_all(&mut *tx).await?.into_iter().collect();
        for (message, number) in batch {
            let Some(id) = message.headers.text(headers::ID).filter(|id| fresh.remove(*id)) else { continue };
            tx.execute("SAVEPOINT message").await?;
            sqlx::query(EFFECT).bind(key(message)?).bind(number).execute(&mut *tx).await?;
            if !fails(*number, every) {
                tx.execute("RELEASE SAVEPOINT message").await?;
                continue;
            }
            tx.execute("ROLLBACK TO SAVEPOINT message").await?;
            let set_aside =
                sqlx::query(SET_ASIDE).bind(id).bind(TOPIC).bind(key(message)?.map(str::as_bytes));
            set_aside.bind(&message.payload[..]).execute(&mut *tx).await?;
        }
        next += i64::try_from(batch.len())?;
        sqlx::query(ADVANCE).bind("hand").bind(TOPIC).bind(lane).bind(next).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(())
}
