//! C4: from Kafka through deduplication to an effect, as services do it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::{Consumer, ConsumerBuilder, Envelope, HandlerError, Shutdown};
use messagekit_kafka::{Kafka, KafkaSource};
use messagekit_postgres::{PgTx, PostgresStore};
use sqlx::PgPool;

use super::consume::{APPLIED, EFFECTS, apply};
use crate::events::{Made, messages_to, publish};
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target};
use crate::peers::{self, Peer};
use crate::resources::{Database, Program, Topic};
use crate::settings::Settings;

pub(crate) const C4: Cell = Cell {
    id: "C4",
    title: "consume from Kafka: claim, effect, commit",
    figure: "events/s",
    better: Better::Higher,
    plan,
};

const EVENTS: usize = 60_000;
const OURS: &str = "messagekit consumer";
const BATCH: &str = "messagekit consumer, a statement for the effects of a batch";
/// One message in this many arrives twice.
const TWICE: usize = 10;
/// Without a new effect for this time, the remaining ones are lost.
const PATIENCE: Duration = Duration::from_secs(60);

fn plan(settings: Arc<Settings>) -> Plan {
    let events = settings.scaled(EVENTS);
    let (first, second) = (Arc::clone(&settings), Arc::clone(&settings));
    let mut contenders = vec![
        Contender::new("", OURS, Role::Ours, move || {
            ours(Arc::clone(&first), events, |builder| builder.on(apply))
        }),
        Contender::new("", BATCH, Role::Ours, move || {
            ours(Arc::clone(&second), events, |builder| builder.on_batch(apply_all))
        }),
    ];
    let spent = Goal {
        group: String::new(),
        figure: "CPU-s/100k process",
        over: OURS,
        under: None,
        target: Target::AtMost(6.0),
    };
    let mut goals = vec![spent];
    if settings.peers {
        for peer in &peers::CONSUMERS {
            let settings = Arc::clone(&settings);
            let run = move || theirs(Arc::clone(&settings), peer, events / 10);
            contenders.push(Contender::new("", peer.name, Role::Peer, run));
            let (group, target) = (String::new(), Target::AtLeast(5.0));
            goals.push(Goal { group, figure: C4.figure, over: OURS, under: Some(peer.name), target });
        }
    }
    let sizes = format!(
        "{events} events of 1 KiB in 6 partitions, one of {TWICE} twice, one effect each, from the first effect to the last; peers a tenth of them"
    );
    Plan { sizes, contenders, goals }
}

type Builder = ConsumerBuilder<PostgresStore, KafkaSource>;

async fn ours(settings: Arc<Settings>, events: usize, handled: fn(Builder) -> Builder) -> Outcome<Measured> {
    let database = Database::migrated(settings.database()?).await?;
    database.execute(EFFECTS.to_owned()).await?;
    let topic = filled(&settings, events).await?;
    let (store, meter) = (database.store().await?, Meter::start(settings.parts()));
    let source = Kafka::new(settings.kafka()?).topics([topic.name.as_str()]);
    let consumer = handled(Consumer::builder("bench", store.clone()).from(source)).build()?;
    let shutdown = Shutdown::new();
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    let rate = watch(store.pool(), events).await?;
    let cpu = meter.per_100k(events);
    shutdown.request();
    running.await??;
    Ok(Measured::new(database.judge(events, APPLIED).await?).with(C4.figure, rate).with_all(cpu))
}

/// Consumes a topic with a peer.
async fn theirs(settings: Arc<Settings>, peer: &'static Peer, events: usize) -> Outcome<Measured> {
    let database = Database::empty(settings.database()?).await?;
    database.execute(format!("{EFFECTS}; CREATE TABLE seen (id text PRIMARY KEY)")).await?;
    let topic = filled(&settings, events).await?;
    let pool = PgPool::connect(&database.url).await?;
    let meter = Meter::start(settings.parts());
    let mut program = Program::start(peer.command(&settings, &database, &topic, "consume")?)?;
    let rate = match watch(&pool, events).await {
        Ok(rate) => rate,
        Err(error) => return Err(program.is_alive().err().unwrap_or(error)),
    };
    let cpu = meter.per_100k(events);
    let ledger = database.judge(events, APPLIED).await?;
    Ok(Measured::new(ledger).with(C4.figure, rate).with_all(cpu))
}

async fn apply_all(tx: &mut PgTx, events: Vec<Envelope<Made>>) -> Result<(), HandlerError> {
    let accounts: Vec<&str> = events.iter().map(|event| &*event.data.account).collect();
    let numbers: Vec<i64> = events.iter().map(|event| event.data.number as i64).collect();
    let effects = "INSERT INTO effects (account, number) SELECT * FROM unnest($1::text[], $2::bigint[])";
    sqlx::query(effects).bind(accounts).bind(numbers).execute(&mut **tx).await?;
    Ok(())
}

/// Creates a topic with the events, and repeats one in [`TWICE`] at the end of its batch.
async fn filled(settings: &Settings, events: usize) -> Outcome<Topic> {
    let topic = Topic::make(settings.kafka()?).await?;
    let publisher = Kafka::new(settings.kafka()?).publisher()?;
    for batch in messages_to(&topic.name, events)?.chunks(500) {
        let all: Vec<_> = batch.iter().chain(batch.iter().step_by(TWICE)).cloned().collect();
        publish(&publisher, &all).await?;
    }
    Ok(topic)
}

/// Polls the effects until there are `events` of them or no more arrive. Returns the rate per second between the first
/// and the last: the time to join the group depends on Kafka's settings.
async fn watch(pool: &PgPool, events: usize) -> Outcome<f64> {
    let (mut first, mut latest) = (None, (0, Instant::now()));
    while latest.0 < events && latest.1.elapsed() < PATIENCE {
        // No insert is rolled back, so the number of the last row is the number of rows.
        let last: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM effects").fetch_one(pool).await?;
        let (count, now) = (usize::try_from(last.unwrap_or(0))?, Instant::now());
        if count > latest.0 {
            latest = (count, now);
            first.get_or_insert((count, now));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (had, since) = first.ok_or("nothing was consumed")?;
    Ok((latest.0 - had) as f64 / (latest.1 - since).as_secs_f64())
}
