//! R2, R3, R4: the latency of an event from its commit to a reader of Kafka.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use messagekit::adapter::OutboxRows;
use messagekit::relay::Relay;
use messagekit::{Message, Shutdown, Store};
use messagekit_kafka::{Kafka, KafkaPublisher};
use messagekit_postgres::PostgresStore;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message as _};
use sqlx::Connection;

use super::drain_kafka::start;
use crate::events::{messages_to, publish};
use crate::frame::{
    Better, Cell, Contender, Goal, Judge, Ledger, Measured, Outcome, Plan, Role, Target, quantile,
};
use crate::raw::{self, outbox};
use crate::resources::{Database, Topic};
use crate::settings::Settings;

pub(crate) const R2: Cell = Cell {
    id: "R2",
    title: "from commit to a reader of Kafka, steady",
    figure: "p50 ms",
    better: Better::Lower,
    plan: |settings| plan(settings, &[200, 1_000, 5_000], false),
};

pub(crate) const R3: Cell = Cell {
    id: "R3",
    title: "from commit to a reader of Kafka, an event now and then",
    figure: "p50 ms",
    better: Better::Lower,
    plan: |settings| plan(settings, &[5], false),
};

pub(crate) const R4: Cell = Cell {
    id: "R4",
    title: "from commit to a reader of Kafka, beside an open transaction",
    figure: "p50 ms",
    better: Better::Lower,
    plan: |settings| plan(settings, &[200], true),
};

const TIME: Duration = Duration::from_secs(6);
/// A lower rate has as many events as this one, and takes longer.
const LEAST: usize = 10;
const DIRECT: &str = "commit, then produce, then read";
const WOKEN: &str = "relay in the writer's process, outbox.commit";
const FOREIGN: &str = "messagekit relay, another process writes";
const SKETCH: &str = "sketch that polls, another process writes";
const P99: &str = "p99 ms";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    Woken,
    Foreign,
    Sketch,
}

fn plan(settings: Arc<Settings>, rates: &[usize], beside: bool) -> Plan {
    let (mut contenders, mut goals) = (Vec::new(), Vec::new());
    let time = settings.watched(TIME);
    for &rate in rates {
        let group = format!("{rate} per second");
        let events = ((rate.max(LEAST) as f64 * time.as_secs_f64()) as usize).min(30_000);
        let ways = [
            (DIRECT, Role::Limit, Way::Direct),
            (WOKEN, Role::Ours, Way::Woken),
            (SKETCH, Role::Limit, Way::Sketch),
            (FOREIGN, Role::Ours, Way::Foreign),
        ];
        for (name, role, way) in ways {
            let settings = Arc::clone(&settings);
            let run = move || Steady { settings: Arc::clone(&settings), way, rate, events, beside }.run();
            contenders.push(Contender::new(&*group, name, role, run));
        }
        for (figure, over, under, target) in [
            ("p50 ms", WOKEN, DIRECT, Target::AtMost(3.0)),
            (P99, WOKEN, DIRECT, Target::AtMost(5.0)),
            ("p50 ms", FOREIGN, SKETCH, Target::Within(2.0)),
        ] {
            goals.push(Goal { group: group.clone(), figure, over, under: Some(under), target });
        }
    }
    let sizes =
        format!("1 KiB, one event per transaction, some {time:?} each; relay and sketch poll every 50 ms");
    Plan { sizes, contenders, goals }
}

struct Steady {
    settings: Arc<Settings>,
    way: Way,
    rate: usize,
    events: usize,
    beside: bool,
}

impl Steady {
    async fn run(self) -> Outcome<Measured> {
        let settings = &self.settings;
        let topic = Topic::make(settings.kafka()?).await?;
        let server = settings.database()?;
        let database = match self.way {
            Way::Direct => Database::migrated(server).await?,
            _ => Database::for_relay(server).await?,
        };
        let store = database.store().await?;
        let reader = Reader::start(settings.kafka()?, &topic.name)?;
        let publisher = Kafka::new(settings.kafka()?).publisher()?;
        let mut beside = sqlx::PgConnection::connect(&database.url).await?;
        let (shutdown, mut program, mut relaying) = (Shutdown::new(), None, None);
        match self.way {
            Way::Direct => {}
            Way::Woken => {
                let builder =
                    Relay::builder("bench").reader(Arc::new(store.clone())).to(Arc::new(publisher.clone()));
                let relay = builder.build()?;
                let asked = shutdown.clone();
                relaying = Some(tokio::spawn(async move { Ok(relay.run(asked).await?) }));
            }
            Way::Foreign => program = Some(start(settings, &database, "bench", &[])?),
            Way::Sketch => {
                relaying = Some(tokio::spawn(raw::relay::relay(store.clone(), settings.kafka()?.to_owned())));
            }
        }
        let all = messages_to(&topic.name, self.events + 1)?;
        // Finish every first-time operation before the measurement starts.
        let (warm, all) = all.split_first().ok_or("no events")?;
        commit(&store, self.way, &publisher, warm).await?;
        reader.until(1).await?;
        if self.beside {
            sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current()")
                .execute(&mut beside)
                .await?;
        }
        let sent = self.write(&store, &publisher, all).await?;
        reader.until(1 + all.len()).await?;
        if let Some(program) = &mut program {
            program.is_alive()?;
        }
        shutdown.request();
        match relaying {
            Some(sketch) if self.way == Way::Sketch => sketch.abort(),
            Some(relay) => relay.await??,
            None => {}
        }
        let (seen, ledger) = reader.end(self.events + 1, &topic).await?;
        let mut waited: Vec<f64> = sent
            .iter()
            .filter_map(|(number, at)| {
                Some(seen.get(number)?.saturating_duration_since(*at).as_secs_f64() * 1e3)
            })
            .collect();
        waited.sort_by(f64::total_cmp);
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|part| quantile(&waited, part));
        Ok(Measured::new(ledger).with("p50 ms", p50).with(P99, p99).with("max ms", max))
    }

    /// Writes at a fixed rate, whatever happens to earlier events, and returns when each commit began. The events of a key
    /// have one writer.
    async fn write(
        &self,
        store: &PostgresStore,
        publisher: &KafkaPublisher,
        all: &[Message],
    ) -> Outcome<Vec<(u64, Instant)>> {
        let writers = (self.rate / 100).clamp(1, 32);
        let mut shares: Vec<Vec<(u64, Message)>> = vec![Vec::new(); writers];
        for (number, message) in (1_u64..).zip(all) {
            let key = message.key.as_deref().unwrap_or_default();
            let writer =
                key.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
            shares[writer % writers].push((number, message.clone()));
        }
        let began = Instant::now();
        let tasks = shares.into_iter().map(|share| {
            let (store, publisher, way, rate) =
                (store.clone(), publisher.clone(), self.way, self.rate as f64);
            tokio::spawn(async move {
                let mut sent = Vec::with_capacity(share.len());
                for (number, message) in share {
                    let due = began + Duration::from_secs_f64(number as f64 / rate);
                    tokio::time::sleep_until(due.into()).await;
                    sent.push((number, commit(&store, way, &publisher, &message).await?));
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(sent)
            })
        });
        let mut sent = Vec::new();
        for task in try_join_all(tasks).await? {
            sent.extend(task?);
        }
        Ok(sent)
    }
}

/// Writes one event in the measured way, and returns when its commit began.
async fn commit(
    store: &PostgresStore,
    way: Way,
    publisher: &KafkaPublisher,
    message: &Message,
) -> Outcome<Instant> {
    let mut tx = store.begin().await?;
    let began;
    match way {
        Way::Woken => {
            store.write(&mut tx, std::slice::from_ref(message)).await?;
            began = Instant::now();
            store.commit(tx).await?;
            store.wake();
        }
        Way::Direct | Way::Foreign | Way::Sketch => {
            outbox::insert(&mut tx, std::slice::from_ref(message)).await?;
            began = Instant::now();
            store.commit(tx).await?;
            if way == Way::Direct {
                publish(publisher, std::slice::from_ref(message)).await?;
            }
        }
    }
    Ok(began)
}

/// Reads a topic on its own thread and records when each event arrived.
struct Reader {
    seen: Arc<Mutex<HashMap<u64, Instant>>>,
    ended: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Outcome<()>>,
}

impl Reader {
    fn start(brokers: &str, topic: &str) -> Outcome<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", topic)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create()?;
        let mut partitions = rdkafka::TopicPartitionList::new();
        for partition in 0..crate::resources::PARTITIONS {
            partitions.add_partition_offset(topic, partition, rdkafka::Offset::Beginning)?;
        }
        consumer.assign(&partitions)?;
        let (seen, ended) = (Arc::new(Mutex::new(HashMap::new())), Arc::new(AtomicBool::new(false)));
        let (notes, asked) = (Arc::clone(&seen), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                let Some(record) = consumer.poll(Duration::from_millis(50)) else { continue };
                let now = Instant::now();
                let number = Judge::number(record?.payload().unwrap_or_default())?;
                notes.lock().map_err(|_| "a reader panicked")?.entry(number).or_insert(now);
            }
            Ok(())
        });
        Ok(Self { seen, ended, thread })
    }

    /// Waits until `events` events have arrived, or none for a minute.
    async fn until(&self, events: usize) -> Outcome<()> {
        let (mut latest, mut since) = (0, Instant::now());
        while latest < events && since.elapsed() < Duration::from_secs(60) && !self.thread.is_finished() {
            let now = self.seen.lock().map_err(|_| "a reader panicked")?.len();
            if now > latest {
                (latest, since) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn end(self, events: usize, topic: &Topic) -> Outcome<(HashMap<u64, Instant>, Ledger)> {
        self.ended.store(true, Ordering::Relaxed);
        let seen = self.seen;
        tokio::task::spawn_blocking(|| self.thread.join().map_err(|_| "a reader panicked")).await???;
        let ledger = topic.judge(events).await?;
        let seen = seen.lock().map_err(|_| "a reader panicked")?.clone();
        Ok((seen, ledger))
    }
}
