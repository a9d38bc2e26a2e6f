//! The number of statements per message: writes, relaying and consuming through a counting proxy.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{
    BatchLimit, ClaimRequest, FailedMessageRows, Failure, FailureKind, Markers, Publisher, ReceivedMessage,
    Retries, SetAsideOutcome, codec,
};
use messagekit::relay::{OutboxReader, Relay};
use messagekit::{
    Consumer, Envelope, Event, HandlerError, Message, MessageId, Outbox, ParkingLimits, Position, Shutdown,
    Store,
};
use messagekit_memory::MemoryLog;
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PgTx, PostgresStore, SchemaName};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;
use messagekit_topic_store::{Claimed, RecordClaimer, Which};
use messagekit_topics::Topics;
use serde_json::json;

use crate::counter::Counter;
use crate::shop::{OrderPlaced, insert_bill, run};

/// A database behind a counting proxy, and a store that uses only the proxy.
struct Counted {
    database: Database,
    counter: Counter,
    store: PostgresStore,
}

impl Counted {
    async fn fresh() -> Self {
        let database = Database::fresh().await;
        let counter = Counter::to(&database).await;
        let store =
            PostgresStore::options().max_connections(1).connect(&counter.url(&database)).await.unwrap();
        let counted = Self { database, counter, store };
        // The first statements of a connection come before the count.
        counted.store.commit(counted.store.begin().await.unwrap()).await.unwrap();
        counted
    }

    /// Returns the statements during `work`. The checked commit leaves an empty transaction, which ends when the connection
    /// returns to the pool. That may be later, so it is left out, and so is the notice for followers, which is sent some time after a
    /// commit.
    async fn during(&self, work: impl Future<Output = ()>) -> Vec<String> {
        self.counter.take();
        work.await;
        let mut said = self.counter.take();
        said.retain(|text| text != "ROLLBACK" && !text.contains("pg_notify"));
        said
    }
}

#[test]
fn an_event_is_one_statement_between_begin_and_commit() {
    block_on(async {
        let counted = Counted::fresh().await;
        let outbox = Outbox::new(counted.store.clone(), "shop").unwrap();
        let write = async || {
            let mut tx = counted.store.begin().await.unwrap();
            outbox.add(&mut tx, OrderPlaced::new("o-1")).await.unwrap();
            outbox.commit(tx).await.unwrap();
        };
        write().await;
        let said = counted.during(write()).await;
        assert_eq!(said.len(), 3, "begin, insert, checked commit: {said:#?}");
        assert!(said[1].contains("INSERT INTO messagekit.outbox_events"), "{said:#?}");
    });
}

#[test]
fn five_hundred_events_are_one_statement_too() {
    block_on(async {
        let counted = Counted::fresh().await;
        let outbox = Outbox::new(counted.store.clone(), "shop").unwrap();
        let write = async || {
            let mut tx = counted.store.begin().await.unwrap();
            let orders = (0..500).map(|number| OrderPlaced::new(&format!("o-{number}")));
            outbox.add_all(&mut tx, orders).await.unwrap();
            outbox.commit(tx).await.unwrap();
        };
        write().await;
        let said = counted.during(write()).await;
        assert_eq!(said.len(), 3, "begin, insert, checked commit: {said:#?}");
    });
}

/// However many records it has.
#[test]
fn a_claim_is_three_statements_and_its_settlement_two() {
    block_on(async {
        let counted = Counted::fresh().await;
        let topic = Topics::of(counted.store.clone()).untyped("shop.jobs").open().await.unwrap();
        let rows: Vec<_> = (0..300).map(|number| json!({ "number": number })).collect();
        topic.extend(&rows).await.unwrap();
        let worker = RecordClaimer::new(counted.store.clone(), "billing", "shop.jobs").for_others();
        let handle = async || {
            let Claimed::Records(claim) = worker.claim(100).await.unwrap() else { panic!("records wait") };
            worker.acknowledge(&claim, Which::All).await.unwrap();
        };
        // A new consumer begins in a transaction.
        handle().await;
        let said = counted.during(handle()).await;
        assert_eq!(said.len(), 5, "see, replace, read, see, replace: {said:#?}");
        assert_eq!(said.iter().filter(|text| text.contains("UPDATE messagekit.consumer_cursors")).count(), 2);
    });
}

async fn bill(tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    insert_bill(tx, &order.data.order_id).await;
    Ok(())
}

/// Apart from the handlers' statements, a transaction of 50 messages costs as many statements as one of a single message.
#[test]
fn fifty_messages_share_begin_claim_offsets_and_commit() {
    block_on(async {
        let counted = Counted::fresh().await;
        run(counted.database.store().await.pool(), "CREATE TABLE bills (id text NOT NULL)").await;
        const MESSAGES: usize = 1_000;
        let log = MemoryLog::new(1);
        let orders: Vec<_> = (0..MESSAGES)
            .map(|number| {
                codec::encode(&Envelope::new(OrderPlaced::new(&format!("o-{number}"))), "shop").unwrap()
            })
            .collect();
        for published in log.publish(&orders).await {
            published.unwrap();
        }
        let batch = BatchLimit { messages: NonZeroU32::new(50).unwrap(), time: Duration::MAX };
        let consumer = Consumer::builder("billing", counted.store.clone())
            .from(log.topics([OrderPlaced::TOPIC]))
            .on(bill);
        let consumer = consumer.batch(batch).build().unwrap();
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        counted.counter.take();
        let running = tokio::spawn(consumer.run(shutdown.clone()));
        eventually("all are handled", DEADLINE, async || stats.read().handled == MESSAGES as u64).await;
        let said = counted.counter.take();
        shutdown.request();
        running.await.unwrap().unwrap();

        let count = |part: &str| said.iter().filter(|text| text.contains(part)).count();
        assert_eq!(count("INSERT INTO bills"), MESSAGES, "the handlers' own");
        let batches = stats.read().batches as usize;
        assert!(batches <= MESSAGES / 50 + 1, "{batches} transactions");
        for (what, part) in [
            ("claims", "INSERT INTO messagekit.processed_messages"),
            ("offsets", "messagekit.consumer_offsets AS"),
        ] {
            assert!(
                count(part) <= batches + 1,
                "{} {what} in {batches} transactions: {said:#?}",
                count(part)
            );
        }
        // The checks for due failed messages come by the clock, whatever is handled.
        let by_the_clock = count("messagekit.failed_messages");
        let attempts = count("messagekit.in_flight_attempts");
        assert!(attempts <= 4, "{attempts} statements about attempts: the first messages are one attempt");
        let beside = said.len() - MESSAGES - by_the_clock - attempts;
        assert!(beside <= 5 * batches + 10, "{beside} statements in {batches} transactions: {said:#?}");
    });
}

/// The sum reads all blocked keys, so each failed message requires it only near the limit.
#[test]
fn failed_messages_that_hold_keys_are_counted_now_and_then() {
    block_on(async {
        let counted = Counted::fresh().await;
        let (store, failure) = (&counted.store, Failure::permanent(FailureKind::Permanent, "no"));
        let park = async |consumer: &str, in_all: u32, failed_messages: i64| {
            let room = ParkingLimits { per_key: 10, in_all };
            let mut outcomes = Vec::new();
            for offset in 0..failed_messages {
                let message = Message::new("orders", "{}").with_key(format!("k{offset}"));
                let position = Some(Position { topic: Arc::from("orders"), partition: 0, offset });
                let id = MessageId::from_stored(&format!("m{offset}"));
                let received = ReceivedMessage { id, message, position };
                let mut tx = store.begin().await.unwrap();
                outcomes.push(store.park(&mut tx, consumer, &received, &failure, room).await.unwrap());
                match outcomes.last() {
                    Some(SetAsideOutcome::Full) => store.rollback(tx).await.unwrap(),
                    _ => store.commit(tx).await.unwrap(),
                }
            }
            outcomes
        };
        let counts = |said: &[String]| said.iter().filter(|text| text.contains("sum(count)")).count();

        let far = counted.during(async { drop(park("far", 10_000, 60).await) }).await;
        assert_eq!(counts(&far), 1, "99 of the 9,999 places that are left need no count");
        let near = counted.during(async {
            let outcomes = park("near", 20, 30).await;
            let (kept, refused) = outcomes.split_at(20);
            assert!(kept.iter().all(|outcome| *outcome == SetAsideOutcome::SetAside), "{kept:?}");
            assert!(refused.iter().all(|outcome| *outcome == SetAsideOutcome::Full), "{refused:?}");
        });
        assert_eq!(counts(&near.await), 30, "the bound is kept exactly");
    });
}

fn waiting(offset: i64) -> ReceivedMessage {
    let message = Message::new("orders", "{}").with_key("a");
    let position = Some(Position { topic: Arc::from("orders"), partition: 0, offset });
    ReceivedMessage { id: MessageId::from_stored(&format!("m{offset}")), message, position }
}

/// Blocks a key with a message and `behind` more, and returns the statements that apply all of them.
async fn said_to_apply_a_run(counted: &Counted, consumer: &str, behind: i64) -> Vec<String> {
    let (store, room) = (&counted.store, ParkingLimits::default());
    let mut tx = store.begin().await.unwrap();
    let failure = Failure::retryable(FailureKind::Failed, "not yet");
    store.park(&mut tx, consumer, &waiting(0), &failure, room).await.unwrap();
    store.commit(tx).await.unwrap();
    let followers: Vec<ReceivedMessage> = (1..=behind).map(waiting).collect();
    let claim = |received: &ReceivedMessage| ClaimRequest {
        id: received.id.clone(),
        topic: received.message.topic.clone(),
        key: received.message.key.clone(),
        generation: 0,
    };
    let mut tx = store.begin().await.unwrap();
    store.claim(&mut tx, consumer, &followers.iter().map(claim).collect::<Vec<_>>()).await.unwrap();
    store.park_behind(&mut tx, consumer, &followers.iter().collect::<Vec<_>>(), room).await.unwrap();
    store.commit(tx).await.unwrap();

    let lease = Duration::from_secs(600);
    let apply = counted.during(async {
        let leased = Retries::lease(store, consumer, 1, lease).await.unwrap().remove(0);
        assert_eq!(store.begin_run(consumer, &leased, 1_000, lease).await.unwrap(), Some(1_000));
        let mut tx = store.begin().await.unwrap();
        let followers =
            store.followers(&mut tx, consumer, leased.failed_message, 1_000, u64::MAX).await.unwrap();
        assert_eq!(followers.len() as i64, behind);
        assert!(store.resolve(&mut tx, consumer, &leased, &followers).await.unwrap());
        store.commit(tx).await.unwrap();
    });
    apply.await
}

#[test]
fn run_of_200_parked_messages_costs_as_few_statements_as_of_two() {
    block_on(async {
        let counted = Counted::fresh().await;
        let two = said_to_apply_a_run(&counted, "few", 1).await;
        let many = said_to_apply_a_run(&counted, "many", 199).await;
        assert_eq!(
            two.len(),
            9,
            "lease, note, begin, read, count out, resolve, promote, free, commit: {two:#?}"
        );
        assert_eq!(many, two);
    });
}

/// A broker that accepts everything.
struct Everything;

impl Publisher for Everything {
    fn publish<'a>(
        &'a self,
        batch: &'a [messagekit::Message],
    ) -> messagekit::adapter::BoxFuture<'a, Vec<messagekit::adapter::Published>> {
        Box::pin(async move { batch.iter().map(|_| Ok(())).collect() })
    }

    fn max_bytes(&self) -> usize {
        1_000_000
    }
}

#[test]
fn two_thousand_events_leave_with_one_read_and_one_delete() {
    block_on(async {
        let counted = Counted::fresh().await;
        to_relay(counted.database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
        const EVENTS: usize = 40_000;
        let straight = counted.database.store().await;
        let outbox = Outbox::new(straight.clone(), "shop").unwrap();
        for first in (0..EVENTS).step_by(500) {
            let mut tx = straight.begin().await.unwrap();
            let orders = (first..first + 500).map(|number| OrderPlaced::new(&format!("o-{number}")));
            outbox.add_all(&mut tx, orders).await.unwrap();
            straight.commit(tx).await.unwrap();
        }
        let reader: Arc<dyn OutboxReader> = Arc::new(counted.store.clone());
        let relay = Relay::builder("shop").reader(reader).to(Arc::new(Everything)).calls(NonZeroUsize::MIN);
        // Checks without a result come by the clock: none comes in the time of a test.
        let relay = relay.poll(Duration::from_secs(600)).build().unwrap();
        let (stats, shutdown) = (relay.stats(), Shutdown::new());
        counted.counter.take();
        let relaying = tokio::spawn(relay.run(shutdown.clone()));
        eventually("all are published", DEADLINE, async || {
            let stats = stats.read();
            stats.published == EVENTS as u64 && stats.undeleted == 0
        })
        .await;
        let said = counted.counter.take();
        shutdown.request();
        relaying.await.unwrap().unwrap();

        let count = |part: &str| said.iter().filter(|text| text.contains(part)).count();
        let (reads, deletes) =
            (count("WITH asked AS MATERIALIZED"), count("DELETE FROM messagekit.outbox_pending"));
        println!("{reads} reads and {deletes} deletes for {EVENTS} events, {} statements", said.len());
        // The first pages are smaller.
        let per = |statements: usize| statements as f64 * 2_000.0 / EVENTS as f64;
        assert!(
            per(reads) <= 1.2 && per(deletes) <= 1.2,
            "{reads} reads, {deletes} deletes for {EVENTS} events"
        );
    });
}
