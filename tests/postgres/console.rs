//! Actions on failed messages: the second click, two operators, a run in flight, an undo.

use std::time::Duration;

use messagekit::adapter::{FailedMessageRows, Failure, FailureKind, Markers, Next, ReceivedMessage, Retries};
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageState, FailedMessages, Operator,
};
use messagekit::{Claim, Message, MessageId, Store, headers};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::block_on;
use messagekit_tests::locks::{until_it_waits, until_one_waits};
use sqlx::Row;

use crate::shop::{Shop, backend, insert_bill, run};

const LONG: Duration = Duration::from_secs(3_600);

fn operator(name: &str) -> Operator {
    Operator { request_id: Some("r-1".to_owned()), ..Operator::new(name, "http") }
}

/// Sets a message aside, and returns its id and the number of its failed message.
async fn failed_message(shop: &Shop, next: Next) -> (MessageId, i64) {
    let id = MessageId::new();
    let message = Message::new("orders.order", "{}").with_header(headers::ID, id.as_str().to_owned());
    let received = ReceivedMessage { id: id.clone(), message, position: None };
    let failure = Failure { next, ..Failure::permanent(FailureKind::Permanent, "no stock") };
    let mut tx = shop.store.begin().await.unwrap();
    shop.store.set_aside(&mut tx, &shop.consumer, &received, &failure).await.unwrap();
    shop.store.commit(tx).await.unwrap();
    let newest = shop.store.list(&FailedMessageFilter::default(), 1).await.unwrap();
    (id, newest[0].id)
}

async fn state(shop: &Shop, failed_message: i64) -> FailedMessageState {
    shop.store.show(failed_message).await.unwrap().state
}

async fn act(store: &PostgresStore, act: Action, failed_message: i64) -> ActionResult {
    store.act(act, &[failed_message], &operator("ann")).await.unwrap()[0]
}

#[test]
fn second_click_changes_nothing_and_both_are_in_the_audit() {
    block_on(async {
        let shop = Shop::open().await;
        let (_, failed_message) = failed_message(&shop, Next::Dead).await;
        assert_eq!(act(&shop.store, Action::Retry, failed_message).await, ActionResult::Done);
        assert_eq!(
            act(&shop.store, Action::Retry, failed_message).await,
            ActionResult::WrongState(FailedMessageState::RetryRequested)
        );
        assert_eq!(act(&shop.store, Action::Retry, i64::MAX).await, ActionResult::NotFound);
        let select =
            "SELECT operator, through, request_id, act, failed_messages, done, outcome::text FROM messagekit.admin_audit
            ORDER BY id";
        let rows = sqlx::query(select).fetch_all(shop.store.pool()).await.unwrap();
        let told: Vec<(Vec<i64>, i64, String)> =
            rows.iter().map(|row| (row.get(4), row.get(5), row.get(6))).collect();
        assert_eq!(
            told,
            [
                (vec![failed_message], 1, "{}".to_owned()),
                (vec![failed_message], 0, format!("{{\"{failed_message}\": \"retry_requested\"}}")),
                (vec![i64::MAX], 0, format!("{{\"{}\": \"not found\"}}", i64::MAX)),
            ]
        );
        let who = |row: &sqlx::postgres::PgRow| (0..4).map(|column| row.get(column)).collect::<Vec<String>>();
        assert!(rows.iter().all(|row| who(row) == ["ann", "http", "r-1", "retry"]));
    });
}

#[test]
fn two_operators_on_the_same_failed_messages_act_once_on_each() {
    block_on(async {
        let shop = Shop::open().await;
        let mut failed_messages = Vec::new();
        for _ in 0..40 {
            failed_messages.push(failed_message(&shop, Next::Dead).await.1);
        }
        // Each in its own order, and in pieces: they meet in the middle.
        let clerk = |mine: Vec<i64>, name: &'static str| {
            let store = shop.store.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                for ids in mine.chunks(7) {
                    let result = store.act(Action::Discard, ids, &operator(name)).await.unwrap();
                    let moved =
                        std::iter::zip(ids, result).filter(|(_, result)| *result == ActionResult::Done);
                    done.extend(moved.map(|(id, _)| *id));
                }
                done
            })
        };
        let (ann, bob) = (
            clerk(failed_messages.clone(), "ann"),
            clerk(failed_messages.iter().rev().copied().collect(), "bob"),
        );
        let mut done = ann.await.unwrap();
        done.extend(bob.await.unwrap());
        done.sort_unstable();
        assert_eq!(done, failed_messages, "each failed message is moved by one of them");
        let markers = "SELECT count(*) FROM messagekit.processed_messages WHERE outcome = 'discarded'";
        assert_eq!(shop.count(markers).await, 40);
    });
}

#[test]
fn discard_fences_out_the_run_that_is_in_flight() {
    block_on(async {
        let shop = Shop::open().await;
        let (id, failed_message) = failed_message(&shop, Next::Retry(Duration::ZERO)).await;
        let leased = shop.store.lease(&shop.consumer, 1, LONG).await.unwrap().remove(0);
        let mut handler = shop.store.begin().await.unwrap();
        insert_bill(&mut handler, id.as_str()).await;
        assert_eq!(act(&shop.store, Action::Discard, failed_message).await, ActionResult::Done);
        let resolved = shop.store.resolve(&mut handler, &shop.consumer, &leased, &[]).await.unwrap();
        assert!(!resolved, "the lease is no longer this one");
        shop.store.rollback(handler).await.unwrap();
        let failure = Failure::permanent(FailureKind::Permanent, "too late");
        assert!(!shop.store.fail(&shop.consumer, &leased, &failure).await.unwrap());
        assert!(!shop.store.hand_back(&shop.consumer, &leased, LONG).await.unwrap());
        assert_eq!(
            (shop.bills().await, state(&shop, failed_message).await),
            (0, FailedMessageState::Discarded)
        );
        assert_eq!(shop.look(&id).await, Claim::Discarded, "a late copy is not applied");
    });
}

#[test]
fn discard_waits_for_the_run_that_commits_and_finds_it_resolved() {
    block_on(async {
        let shop = Shop::open().await;
        let (id, failed_message) = failed_message(&shop, Next::Retry(Duration::ZERO)).await;
        let leased = shop.store.lease(&shop.consumer, 1, LONG).await.unwrap().remove(0);
        let mut handler = shop.bill_again(&id).await;
        assert!(shop.store.resolve(&mut handler, &shop.consumer, &leased, &[]).await.unwrap());
        let store = shop.store.clone();
        let discard = tokio::spawn(async move { act(&store, Action::Discard, failed_message).await });
        until_one_waits(shop.store.pool()).await;
        shop.store.commit(handler).await.unwrap();
        assert_eq!(discard.await.unwrap(), ActionResult::WrongState(FailedMessageState::Resolved));
        assert_eq!((shop.bills().await, shop.look(&id).await), (1, Claim::Done));
    });
}

#[test]
fn late_copy_waits_for_the_discard_and_is_not_applied() {
    block_on(async {
        let shop = Shop::open().await;
        let (id, failed_message) = failed_message(&shop, Next::Dead).await;
        // The audit is locked, which holds the action between its markers and its commit.
        let mut lock = shop.store.begin().await.unwrap();
        sqlx::query("LOCK TABLE messagekit.admin_audit").execute(&mut *lock).await.unwrap();
        let store = shop.store.clone();
        let discard = tokio::spawn(async move { act(&store, Action::Discard, failed_message).await });
        until_one_waits(shop.store.pool()).await;
        let other = shop.database.store().await;
        let mut copy = other.begin().await.unwrap();
        let waiting = backend(&mut copy).await;
        let (consumer, request) = (shop.consumer.clone(), shop.request(&id));
        let late = tokio::spawn(async move {
            let claims = other.claim(&mut copy, &consumer, &[request]).await.unwrap();
            other.rollback(copy).await.unwrap();
            claims[0]
        });
        until_it_waits(shop.store.pool(), waiting).await;
        shop.store.rollback(lock).await.unwrap();
        assert_eq!(discard.await.unwrap(), ActionResult::Done);
        assert_eq!(late.await.unwrap(), Claim::Discarded);
    });
}

#[test]
fn undo_brings_a_discarded_failed_message_back_to_be_retried() {
    block_on(async {
        let shop = Shop::open().await;
        let (id, failed_message) = failed_message(&shop, Next::Dead).await;
        assert_eq!(
            act(&shop.store, Action::Undo, failed_message).await,
            ActionResult::WrongState(FailedMessageState::Dead)
        );
        assert_eq!(act(&shop.store, Action::Discard, failed_message).await, ActionResult::Done);
        assert_eq!(act(&shop.store, Action::Undo, failed_message).await, ActionResult::Done);
        assert_eq!(
            (state(&shop, failed_message).await, shop.look(&id).await),
            (FailedMessageState::Dead, Claim::Held)
        );
        assert_eq!(act(&shop.store, Action::Retry, failed_message).await, ActionResult::Done);
        let leased = shop.store.lease(&shop.consumer, 1, LONG).await.unwrap().remove(0);
        let mut handler = shop.bill_again(&id).await;
        assert!(shop.store.resolve(&mut handler, &shop.consumer, &leased, &[]).await.unwrap());
        shop.store.commit(handler).await.unwrap();
        assert_eq!((shop.bills().await, shop.look(&id).await), (1, Claim::Done));
    });
}

/// The marker of a discarded failed message may be older than the retention of markers.
#[test]
fn undo_makes_a_forgotten_marker_again() {
    block_on(async {
        let shop = Shop::open().await;
        let (id, failed_message) = failed_message(&shop, Next::Dead).await;
        act(&shop.store, Action::Discard, failed_message).await;
        run(shop.store.pool(), "DELETE FROM messagekit.processed_messages").await;
        assert_eq!(act(&shop.store, Action::Undo, failed_message).await, ActionResult::Done);
        assert_eq!(shop.look(&id).await, Claim::Held);
    });
}

#[test]
fn discard_skips_an_applied_message_and_changes_only_the_chosen() {
    block_on(async {
        let shop = Shop::open().await;
        let ((_, first), (id, second)) =
            (failed_message(&shop, Next::Dead).await, failed_message(&shop, Next::Dead).await);
        let update = "UPDATE messagekit.processed_messages SET outcome = 'done' WHERE message_id = $1";
        sqlx::query(update).bind(id.as_str()).execute(shop.store.pool()).await.unwrap();
        let result = shop.store.act(Action::Discard, &[first, second], &operator("ann")).await.unwrap();
        assert_eq!(result, [ActionResult::Done, ActionResult::Settled]);
        assert_eq!(
            (state(&shop, first).await, state(&shop, second).await),
            (FailedMessageState::Discarded, FailedMessageState::Dead)
        );
        let outcome = "SELECT count(*) FROM messagekit.admin_audit WHERE outcome->>failed_messages[2]::text = 'settled' AND done = 1";
        assert_eq!(shop.count(outcome).await, 1);
    });
}

const MANY: &str = "
INSERT INTO messagekit.failed_messages (consumer, message_id, topic, key, key_hash, state, reason, attempts, event_type,
    headers, payload, kind, error, fingerprint)
  SELECT 'billing', 'm-' || n, 'orders.order', convert_to('k-' || n % 100, 'UTF8'), n % 100, 'dead', 'set_aside', 1,
    'orders.order.placed', '[]', convert_to(repeat('x', 3000) || n, 'UTF8'), 'failed', 'no stock', 'f-' || n % 1000
  FROM generate_series(1, 100000) n;
VACUUM ANALYZE messagekit.failed_messages";

/// Counted in blocks, which are the same on every machine.
#[test]
fn first_page_reads_at_most_twice_what_a_bare_query_reads() {
    block_on(async {
        let shop = Shop::open().await;
        for statement in MANY.split(';') {
            run(shop.store.pool(), statement).await;
        }
        let page = shop.store.list(&FailedMessageFilter::default(), 50).await.unwrap();
        assert_eq!((page.len(), page[0].payload_bytes), (50, 3_006));
        let bare = "SELECT id, consumer, message_id, state, kind, error FROM messagekit.failed_messages WHERE state = 'dead'
            ORDER BY id DESC LIMIT 50";
        let wide = "bigint, bigint, text, text, text, text, text, text, bytea, bigint, timestamptz, timestamptz, boolean, bigint";
        let of_state = "bigint, bigint, text, bigint".to_owned();
        let nulls = "NULL, NULL, NULL, NULL, NULL, NULL, NULL";
        let max = i64::MAX;
        for (what, name, parameters, values) in [
            ("everything", "page", "bigint, bigint, bigint".to_owned(), format!("{max}, 0, 50")),
            ("dead", "first_of_state", "text, bigint".to_owned(), "'dead', 50".to_owned()),
            ("dead and above", "page_of_state", of_state.clone(), format!("{max}, 0, 'dead', 50")),
            (
                "of one consumer",
                "list",
                wide.to_owned(),
                format!("{max}, 0, 'billing', 'dead', NULL, {nulls}, false, 50"),
            ),
            (
                "a later page",
                "list",
                wide.to_owned(),
                format!("50000, 0, 'billing', 'dead', NULL, {nulls}, false, 50"),
            ),
            ("a later page of the dead", "page_of_state", of_state, "50000, 0, 'dead', 50".to_owned()),
        ] {
            let mut connection = shop.database.connection().await;
            let statement =
                messagekit_postgres::statements().iter().find(|(known, _)| *known == name).unwrap().1;
            let mode = if name == "list" { "force_custom_plan" } else { "force_generic_plan" };
            let prepare = format!("SET plan_cache_mode = {mode}; PREPARE list ({parameters}) AS {statement}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut connection).await.unwrap();
            let listed = blocks(&mut connection, &format!("EXECUTE list ({values})")).await;
            let bare = blocks(&mut connection, bare).await;
            assert!(listed <= 2 * bare, "{what}: {listed} blocks, and a bare query {bare}");
        }
    });
}

/// Returns how many blocks a query touches.
async fn blocks(connection: &mut sqlx::PgConnection, query: &str) -> u64 {
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING off, SUMMARY off, FORMAT json) {query}");
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(explain)).fetch_all(connection).await.unwrap();
    let plan: serde_json::Value = rows[0].get(0);
    let count = |name: &str| plan[0]["Plan"][name].as_u64().unwrap();
    count("Shared Hit Blocks") + count("Shared Read Blocks")
}
