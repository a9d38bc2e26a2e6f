//! Failed messages: parked, retried, and changed by actions of operators.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{
    ClaimRequest, FailedMessageRows, Failure, FailureKind, Markers, Next, ReceivedMessage, Retries,
    SetAsideOutcome,
};
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageState, FailedMessages, Operator,
};
use messagekit::{Claim, Error, Message, MessageId, ParkingLimits, Position, Store};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::block_on;
use sqlx::Row;

use super::{Known, Stage, assert_pool_is_clean, narrow, strike};
use crate::shop::{Shop, insert_bill};

const LONG: Duration = Duration::from_secs(3_600);
const ROOM: ParkingLimits = ParkingLimits { per_key: 1_000, in_all: 1_000_000 };

/// Two messages of a new key: the first fails, the second is behind it.
struct Pair {
    key: String,
    messages: [ReceivedMessage; 2],
}

fn pair(number: usize) -> Pair {
    let key = format!("k-{number}");
    let messages = [0, 1].map(|behind| {
        let position =
            Position { topic: Arc::from("orders.order"), partition: 0, offset: (2 * number + behind) as i64 };
        let message = Message::new("orders.order", "{}").with_key(key.clone());
        ReceivedMessage { id: MessageId::new(), message, position: Some(position) }
    });
    Pair { key, messages }
}

const PARKING: [&str; 5] = ["begin", "park", "claim", "park behind", "commit"];

/// Parks both, unless that is done already.
async fn park(shop: &Shop, store: &PostgresStore, pair: &Pair, stage: &Stage) -> Result<(), Error> {
    let [culprit, behind] = &pair.messages;
    let mut tx = store.begin().await?;
    stage.is(1);
    let failure =
        Failure { next: Next::Retry(Duration::ZERO), ..Failure::permanent(FailureKind::Failed, "no") };
    let parked = store.park(&mut tx, &shop.consumer, culprit, &failure, ROOM).await?;
    if parked == SetAsideOutcome::AlreadySettled {
        return store.rollback(tx).await;
    }
    stage.is(2);
    let key = behind.message.key.clone();
    let request = ClaimRequest { key, ..shop.request(&behind.id) };
    let claims = store.claim(&mut tx, &shop.consumer, &[request]).await?;
    assert_eq!(claims, [Claim::KeyBlocked]);
    stage.is(3);
    assert_eq!(store.park_behind(&mut tx, &shop.consumer, &[behind], ROOM).await?, 1);
    stage.is(4);
    store.commit(tx).await
}

/// The rows of a key: open failed messages, resolved failed messages, its count, held markers and bills.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    open: i64,
    resolved: i64,
    count: i64,
    markers: i64,
    bills: i64,
}

async fn held(store: &PostgresStore, pair: &Pair) -> Held {
    let count = "SELECT
        (SELECT count(*) FROM messagekit.failed_messages WHERE key = $1 AND state <> 'resolved'),
        (SELECT count(*) FROM messagekit.failed_messages WHERE key = $1 AND state = 'resolved'),
        coalesce((SELECT sum(count) FROM messagekit.blocked_keys h WHERE h.key_hash =
          (SELECT max(key_hash) FROM messagekit.failed_messages WHERE key = $1)), 0)::bigint,
        (SELECT count(*) FROM messagekit.processed_messages WHERE message_id = ANY ($2) AND outcome = 'held'),
        (SELECT count(*) FROM bills WHERE id = ANY ($2))";
    let ids: Vec<&str> = pair.messages.iter().map(|received| received.id.as_str()).collect();
    let row = sqlx::query(count).bind(pair.key.as_bytes()).bind(ids).fetch_one(store.pool()).await.unwrap();
    let [open, resolved, count, markers, bills] = [0, 1, 2, 3, 4].map(|column| row.get(column));
    Held { open, resolved, count, markers, bills }
}

const NOTHING: Held = Held { open: 0, resolved: 0, count: 0, markers: 0, bills: 0 };
const BOTH: Held = Held { open: 2, resolved: 0, count: 2, markers: 2, bills: 0 };

#[test]
fn parking_dropped_at_any_await_keeps_all_or_nothing() {
    block_on(async {
        let shop = Shop::open().await;
        let store = narrow(&shop.database, 1).await;
        let park_one = async |pair: &Pair, stage: &Stage| park(&shop, &store, pair, stage).await;
        strike(
            &PARKING,
            async |number| pair(number),
            park_one,
            async |pair, known| {
                assert_pool_is_clean(&store).await;
                let found = held(&store, &pair).await;
                match known {
                    Known::Kept => assert_eq!(found, BOTH, "lost"),
                    Known::Nothing => assert_eq!(found, NOTHING, "kept without a commit"),
                    Known::Unknown => assert!(found == BOTH || found == NOTHING, "kept by half: {found:?}"),
                }
                for _ in 0..2 {
                    park(&shop, &store, &pair, &Stage::default()).await.unwrap();
                }
                assert_eq!(held(&store, &pair).await, BOTH);
            },
        )
        .await;
    });
}

const RUN: [&str; 5] = ["lease", "begin", "effect", "resolve", "commit"];

/// Runs the due failed message, as a worker does.
async fn run_due(shop: &Shop, store: &PostgresStore, stage: &Stage) -> Result<bool, Error> {
    let Some(leased) = store.lease(&shop.consumer, 1, LONG).await?.pop() else { return Ok(false) };
    stage.is(1);
    let mut tx = store.begin().await?;
    stage.is(2);
    insert_bill(&mut tx, leased.received.id.as_str()).await;
    stage.is(3);
    assert!(store.resolve(&mut tx, &shop.consumer, &leased, &[]).await?, "the lease is its own");
    stage.is(4);
    store.commit(tx).await?;
    Ok(true)
}

#[test]
fn retry_dropped_at_any_await_has_one_effect_and_blocks_no_next() {
    block_on(async {
        let shop = Shop::open().await;
        let store = narrow(&shop.database, 1).await;
        let parked = async |number| {
            let pair = pair(number);
            park(&shop, &store, &pair, &Stage::default()).await.unwrap();
            pair
        };
        let run_one = async |_: &Pair, stage: &Stage| run_due(&shop, &store, stage).await.map(drop);
        strike(&RUN, parked, run_one, async |pair, known| {
            assert_pool_is_clean(&store).await;
            let found = held(&store, &pair).await;
            let one = Held { open: 1, resolved: 1, count: 1, markers: 1, bills: 1 };
            match known {
                Known::Kept => assert_eq!(found, one, "lost"),
                Known::Nothing => assert_eq!(found, BOTH, "kept without a commit"),
                Known::Unknown => assert!(found == one || found == BOTH, "kept by half: {found:?}"),
            }
            // Let its lease expire.
            let due = "UPDATE messagekit.failed_messages SET due = now() WHERE running_since IS NOT NULL";
            sqlx::query(due).execute(store.pool()).await.unwrap();
            while run_due(&shop, &store, &Stage::default()).await.unwrap() {}
            let all = Held { open: 0, resolved: 2, count: 0, markers: 0, bills: 2 };
            assert_eq!(held(&store, &pair).await, all);
        })
        .await;
    });
}

struct FailedMessage {
    id: i64,
    message: MessageId,
}

/// Sets a message aside with a permanent failure.
async fn dead(shop: &Shop) -> FailedMessage {
    let received =
        ReceivedMessage { id: MessageId::new(), message: Message::new("orders.order", "{}"), position: None };
    let mut tx = shop.store.begin().await.unwrap();
    let failure = Failure::permanent(FailureKind::Permanent, "no stock");
    shop.store.set_aside(&mut tx, &shop.consumer, &received, &failure).await.unwrap();
    shop.store.commit(tx).await.unwrap();
    let newest = shop.store.list(&FailedMessageFilter::default(), 1).await.unwrap();
    FailedMessage { id: newest[0].id, message: received.id }
}

/// Repeats an action on failed messages in one state: each moves once, with one row of the audit.
async fn an_act_dropped_at_any_await_happens_wholly_or_not_at_all(
    act: Action,
    from: FailedMessageState,
    to: FailedMessageState,
    marker: Claim,
) {
    let shop = Shop::open().await;
    let store = narrow(&shop.database, 1).await;
    let ann = Operator::new("ann", "test");
    let ready = async |_| {
        let failed_message = dead(&shop).await;
        if from == FailedMessageState::Discarded {
            shop.store
                .act(Action::Discard, &[failed_message.id], &Operator::new("bob", "test"))
                .await
                .unwrap();
        }
        failed_message
    };
    let act_once = async |failed_message: &FailedMessage, _: &Stage| {
        store.act(act, &[failed_message.id], &ann).await.map(drop)
    };
    strike(&["act"], ready, act_once, async |failed_message, known| {
        assert_pool_is_clean(&store).await;
        let found = async || {
            let done = "SELECT coalesce(sum(done), 0)::bigint FROM messagekit.admin_audit WHERE failed_messages = ARRAY[$1] AND operator = 'ann'";
            let done: i64 = sqlx::query_scalar(done).bind(failed_message.id).fetch_one(store.pool()).await.unwrap();
            (store.show(failed_message.id).await.unwrap().state, done)
        };
        let now = found().await;
        match known {
            Known::Kept => assert_eq!(now, (to, 1)),
            _ => assert!(now == (to, 1) || now == (from, 0), "by half: {now:?}"),
        }
        let again = store.act(act, &[failed_message.id], &ann).await.unwrap();
        assert_eq!(again[0] == ActionResult::Done, now.0 == from, "{again:?}");
        assert_eq!(found().await, (to, 1));
        assert_eq!(shop.look(&failed_message.message).await, marker, "the marker goes with its failed message");
    })
    .await;
}

#[test]
fn a_retry_dropped_at_any_await_is_asked_for_once() {
    let (from, to) = (FailedMessageState::Dead, FailedMessageState::RetryRequested);
    block_on(an_act_dropped_at_any_await_happens_wholly_or_not_at_all(Action::Retry, from, to, Claim::Held));
}

/// The retry of a run that is planned for later is recorded with the new time, or not at all. Repeated, it has one effect.
#[test]
fn a_run_now_dropped_at_any_await_is_asked_for_once() {
    block_on(async {
        let shop = Shop::open().await;
        let store = narrow(&shop.database, 1).await;
        let ann = Operator::new("ann", "test");
        let ready = async |_| {
            let failed_message = dead(&shop).await;
            let plan = "UPDATE messagekit.failed_messages SET state = 'retry_scheduled', due = now() + interval '1 day' WHERE id = $1";
            sqlx::query(plan).bind(failed_message.id).execute(shop.store.pool()).await.unwrap();
            failed_message
        };
        let retry = async |failed_message: &FailedMessage, _: &Stage| {
            store.act(Action::Retry, &[failed_message.id], &ann).await.map(drop)
        };
        strike(&["act"], ready, retry, async |failed_message, known| {
            assert_pool_is_clean(&store).await;
            let found = async || {
                let select = "SELECT (SELECT due <= now() AND state = 'retry_scheduled' FROM messagekit.failed_messages WHERE id = $1),
                    (SELECT coalesce(sum(done), 0)::bigint FROM messagekit.admin_audit WHERE failed_messages = ARRAY[$1])";
                let found: (bool, i64) =
                    sqlx::query_as(select).bind(failed_message.id).fetch_one(store.pool()).await.unwrap();
                found
            };
            let now = found().await;
            match known {
                Known::Kept => assert_eq!(now, (true, 1)),
                _ => assert!(now == (true, 1) || now == (false, 0), "by half: {now:?}"),
            }
            let again = store.act(Action::Retry, &[failed_message.id], &ann).await.unwrap();
            assert_eq!(again[0] == ActionResult::Done, !now.0, "{again:?}");
            assert_eq!(found().await, (true, 1));
        })
        .await;
    });
}

#[test]
fn a_discard_dropped_at_any_await_happens_once() {
    let (from, to) = (FailedMessageState::Dead, FailedMessageState::Discarded);
    block_on(an_act_dropped_at_any_await_happens_wholly_or_not_at_all(
        Action::Discard,
        from,
        to,
        Claim::Discarded,
    ));
}

#[test]
fn an_undo_dropped_at_any_await_happens_once() {
    let (from, to) = (FailedMessageState::Discarded, FailedMessageState::Dead);
    block_on(an_act_dropped_at_any_await_happens_wholly_or_not_at_all(Action::Undo, from, to, Claim::Held));
}
