//! Markers whose ids contain another day than that of their write: a UUID of version 7 may contain any.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messagekit::adapter::{
    Attempts, ClaimRequest, FailedMessageRows, Failure, FailureKind, Markers, ReceivedMessage, Retries,
    SetAsideOutcome,
};
use messagekit::cleanup::CleanupTarget;
use messagekit::operations::{Action, ActionResult, FailedMessageFilter, FailedMessages, Operator};
use messagekit::{Claim, Message, MessageId, ParkingLimits, Position, Store};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::block_on;
use messagekit_tests::Database;

use super::{DAY, cleaned, count, divide, divided, execute, id, in_days, mark};
use crate::shop::{Shop, insert_bill, run};

const LAST: &str = "ffffffff-ffff-7fff-bfff-ffffffffffff";
const FIRST: &str = "00000000-0000-7000-8000-000000000000";

/// Returns ids that publishers have been seen to send, and possible ones.
fn any_ids() -> Vec<MessageId> {
    let dated =
        [id(0, 1), id(40, 1), in_days(1, 1), in_days(2, 1), in_days(3, 1), in_days(33, 1), in_days(4_000, 1)];
    let others = [
        LAST,
        FIRST,
        "FFFFFFFF-FFFF-7FFF-BFFF-FFFFFFFFFFFF",
        "ffffffff-ffff-4fff-bfff-ffffffffffff",
        "order-17",
        "g",
    ];
    let others = others.map(str::to_owned);
    dated.into_iter().chain(others).map(|id| id.parse().unwrap()).collect()
}

fn request(id: &MessageId, generation: i32) -> ClaimRequest {
    ClaimRequest { id: id.clone(), topic: Arc::from("orders.order"), key: None, generation }
}

fn received(id: &MessageId) -> ReceivedMessage {
    let position = Position { topic: Arc::from("orders.order"), partition: 0, offset: 7 };
    ReceivedMessage {
        id: id.clone(),
        message: Message::new("orders.order", "{}").with_key("k"),
        position: Some(position),
    }
}

fn dead() -> Failure {
    Failure::permanent(FailureKind::Permanent, "no stock")
}

async fn set_aside(shop: &Shop, id: &MessageId) -> SetAsideOutcome {
    let mut tx = shop.store.begin().await.unwrap();
    let outcome = shop.store.set_aside(&mut tx, &shop.consumer, &received(id), &dead()).await.unwrap();
    shop.store.commit(tx).await.unwrap();
    outcome
}

async fn act(shop: &Shop, act: Action, failed_message: i64) -> ActionResult {
    shop.store.act(act, &[failed_message], &Operator::new("ann", "test")).await.unwrap()[0]
}

#[test]
fn markers_from_before_the_division_are_found_for_any_id_day() {
    block_on(async {
        let shop = Shop::open().await;
        for id in any_ids() {
            let tx = shop.bill(&shop.store, &id).await;
            shop.store.commit(tx).await.unwrap();
        }
        divide(&shop.database).await.unwrap();
        let mut claims = Vec::new();
        for id in any_ids() {
            claims.push((shop.look(&id).await, id));
        }
        let fresh: Vec<_> = claims.iter().filter(|(claim, _)| *claim != Claim::Done).collect();
        assert!(fresh.is_empty(), "they would be applied again: {fresh:?}");
        let elsewhere = "messagekit.processed_messages WHERE day <> messagekit.day_of(message_id)";
        assert_eq!(count(&shop.store, elsewhere).await, 0);
        assert_eq!(count(&shop.store, "messagekit.processed_messages").await, any_ids().len() as i64);
    });
}

#[test]
fn open_failure_of_any_id_can_be_settled_after_partitioning() {
    block_on(async {
        let shop = Shop::open().await;
        for id in any_ids() {
            assert_eq!(set_aside(&shop, &id).await, SetAsideOutcome::SetAside);
        }
        divide(&shop.database).await.unwrap();
        for id in any_ids() {
            assert_eq!(shop.look(&id).await, Claim::Held, "{id}");
            let mine = FailedMessageFilter {
                consumer: Some(shop.consumer.clone()),
                ..FailedMessageFilter::default()
            };
            let failed_messages = shop.store.list(&mine, 100).await.unwrap();
            let failed_message =
                failed_messages.iter().find(|failed_message| failed_message.message_id == id).unwrap().id;
            assert_eq!(act(&shop, Action::Discard, failed_message).await, ActionResult::Done, "{id}");
            assert_eq!(shop.look(&id).await, Claim::Discarded, "{id}");
            assert_eq!(act(&shop, Action::Undo, failed_message).await, ActionResult::Done, "{id}");
            assert_eq!(act(&shop, Action::Retry, failed_message).await, ActionResult::Done, "{id}");
            let leased = shop.store.lease(&shop.consumer, 1, Duration::from_secs(60)).await.unwrap();
            let mut tx = shop.bill_again(&id).await;
            assert!(shop.store.resolve(&mut tx, &shop.consumer, &leased[0], &[]).await.unwrap(), "{id}");
            shop.store.commit(tx).await.unwrap();
            assert_eq!(shop.look(&id).await, Claim::Done, "{id}");
        }
    });
}

/// Redeliveries arrive from several processes all the time: before, during and after the partitioning.
#[test]
fn a_message_is_applied_once_while_the_tables_are_divided() {
    block_on(async {
        let shop = Arc::new(Shop::open().await);
        let is_over = Arc::new(AtomicBool::new(false));
        let consumers: Vec<_> = (0..4)
            .map(|_| {
                let (shop, is_over) = (Arc::clone(&shop), Arc::clone(&is_over));
                tokio::spawn(async move {
                    let mut rounds = 0_u32;
                    loop {
                        let is_last = is_over.load(Ordering::Relaxed);
                        for id in any_ids() {
                            apply(&shop, &id).await;
                        }
                        rounds += 1;
                        if is_last {
                            return rounds;
                        }
                    }
                })
            })
            .collect();
        while shop.bills().await == 0 {
            tokio::task::yield_now().await;
        }
        divide(&shop.database).await.unwrap();
        is_over.store(true, Ordering::Relaxed);
        for consumer in consumers {
            assert!(consumer.await.unwrap() > 1, "each has seen all of them more than once");
        }
        assert_eq!(shop.bills().await, any_ids().len() as i64, "one bill each");
    });
}

/// Applies a message like a consumer: repeats it after a conflict.
async fn apply(shop: &Shop, id: &MessageId) {
    loop {
        let mut tx = shop.store.begin().await.unwrap();
        match shop.store.claim(&mut tx, &shop.consumer, &[shop.request(id)]).await {
            Ok(claims) if claims == [Claim::Fresh] => {
                insert_bill(&mut tx, id.as_str()).await;
                return shop.store.commit(tx).await.unwrap();
            }
            Ok(_) => return shop.store.rollback(tx).await.unwrap(),
            Err(error) if error.is_transient() => shop.store.rollback(tx).await.unwrap(),
            Err(error) => panic!("{id}: {error}"),
        }
    }
}

/// Such a row remains after an operator copies rows by hand, or after a partitioning that did not check for them.
#[test]
fn a_marker_in_the_part_of_another_day_ends_no_consumer() {
    block_on(async {
        let (database, store) = divided().await;
        run(
            store.pool(),
            "ALTER TABLE messagekit.processed_messages_other DROP CONSTRAINT processed_messages_day;
             INSERT INTO messagekit.in_flight_attempts (consumer, message_id, runner) VALUES ('billing', 'ffffffff-ffff-7fff-bfff-ffffffffffff', 'p')",
        )
        .await;
        let id: MessageId = LAST.parse().unwrap();
        let twice = "INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome)
            VALUES ('billing', $1, -1, 'done'), ('billing', $1, messagekit.day_of($1), 'done')";
        sqlx::query(twice).bind(LAST).execute(store.pool()).await.unwrap();

        let keyed = ClaimRequest { key: Some("k".into()), ..request(&id, 0) };
        for asked in [request(&id, 0), keyed] {
            assert_eq!(claim(&store, asked).await, Claim::Done);
        }
        let mut tx = store.begin().await.unwrap();
        let outcome = store.set_aside(&mut tx, "billing", &received(&id), &dead()).await.unwrap();
        assert_eq!(outcome, SetAsideOutcome::AlreadySettled);
        let outcome =
            store.park(&mut tx, "billing", &received(&id), &dead(), ParkingLimits::default()).await.unwrap();
        assert_eq!(outcome, SetAsideOutcome::AlreadySettled);
        store.rollback(tx).await.unwrap();
        store.clear_finished_attempts("billing").await.unwrap();
        assert_eq!(claim(&store, request(&id, 2)).await, Claim::Fresh, "in a range that is processed again");

        run(store.pool(), "UPDATE messagekit.processed_messages SET outcome = 'held'").await;
        let failed_message = "INSERT INTO messagekit.failed_messages
            (consumer, message_id, topic, state, reason, attempts, headers, payload, kind, error, fingerprint)
            VALUES ('billing', $1, 'orders.order', 'dead', 'set_aside', 1, '', '', 'failed', 'no', 'f') RETURNING id";
        let failed_message: i64 =
            sqlx::query_scalar(failed_message).bind(LAST).fetch_one(store.pool()).await.unwrap();
        let acted =
            store.act(Action::Discard, &[failed_message], &Operator::new("ann", "test")).await.unwrap();
        assert_eq!(acted, [ActionResult::Done]);
        drop(database);
    });
}

async fn claim(store: &PostgresStore, request: ClaimRequest) -> Claim {
    let mut tx = store.begin().await.unwrap();
    let claims = store.claim(&mut tx, "billing", &[request]).await.unwrap();
    store.commit(tx).await.unwrap();
    claims[0]
}

/// Its partition is that of some day, which may be truncated at any time.
#[test]
fn a_marker_lives_for_its_dedup_window_whatever_its_id_day() {
    block_on(async {
        let (_database, store) = divided().await;
        store.note_window("billing", Some(Duration::from_secs(7 * DAY))).await.unwrap();
        // In the same partition as rows that are removed today.
        for (ahead, number) in [(32 - 9, 1), (64 - 9, 1), (32 * 100 - 9, 1)] {
            mark(&store, "billing", &in_days(ahead, number), "done", 1).await;
        }
        for number in 1..=3 {
            mark(&store, "billing", &id(9, number), "done", 9).await;
            mark(&store, "billing", &id(9 + 32, number), "done", 9).await;
        }
        assert_eq!(cleaned(&store, CleanupTarget::Markers).await, (0, 0), "a young one keeps its part");
        let older =
            "UPDATE messagekit.processed_messages SET processed_at = processed_at - interval '2 days'";
        run(store.pool(), older).await;
        assert_eq!(cleaned(&store, CleanupTarget::Markers).await, (6, 0), "and no longer than two days");
        assert_eq!(count(&store, "messagekit.processed_messages").await, 3);
        execute(&store, format!("{older}; {older}; {older}")).await;
        assert_eq!(cleaned(&store, CleanupTarget::Markers).await, (0, 1));
        assert_eq!(count(&store, "messagekit.processed_messages").await, 0);
    });
}

#[test]
fn many_markers_with_future_ids_move_to_their_day_partitions() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        for consumer in ["a", "b", "c"] {
            let fill = format!(
                "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, generation)
                 SELECT '{consumer}', to_char(n, 'FM00000000') || '-0000-7000-8000-000000000000', 'done', 3 FROM generate_series(1, 9000) n
                 UNION ALL SELECT '{consumer}', 'ffff' || to_char(n, 'FM0000') || '-0000-7000-8000-000000000000', 'held', 4 FROM generate_series(1, 100) n"
            );
            execute(&store, fill).await;
        }
        divide(&database).await.unwrap();
        assert_eq!(
            count(&store, "messagekit.processed_messages_other").await,
            3 * 9_000,
            "the rest is not touched"
        );
        let whole = "messagekit.processed_messages WHERE day = messagekit.day_of(message_id) AND day >= 0
            AND outcome = 'held' AND generation = 4";
        assert_eq!(count(&store, whole).await, 3 * 100, "as they were");
    });
}
