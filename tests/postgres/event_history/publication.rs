//! How far the publishing of one event is, by relay and by slot, and the events of the SQL function.

use std::time::Duration;

use messagekit::adapter::{EventLinks, OutboxRows, WithoutRelay};
use messagekit::cleanup::{CleanupTarget, Retention, clean};
use messagekit::operations::{EventHistory, Operator, Publication, PublicationState, PublisherMode};
use messagekit::relay::{OutboxReader, RejectedEvents, Rejection};
use messagekit::{Error, ErrorKind, Message, Shutdown, Store, headers};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use sqlx::AssertSqlSafe;

use super::record;
use crate::health::Captured;
use crate::relay::outbox::{Relayed, id};
use crate::shop::run;

const ONE_EVENT: &str =
    "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('e-1', 'orders.order', '{}')";

async fn delay(store: &PostgresStore, event: &str, by: Duration) {
    let message = Message::new("orders.order", "{}").with_header(headers::ID, event.to_owned());
    let mut tx = store.begin().await.unwrap();
    store.write_after(&mut tx, &[message], by, WithoutRelay::Refuse).await.unwrap();
    store.commit(tx).await.unwrap();
}

#[test]
fn relay_tells_of_each_event_how_far_it_is() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let store = &relayed.store;
        for (event, key) in [("a-1", "a"), ("a-2", "a"), ("b-1", "b")] {
            relayed.write(event, Some(key)).await;
        }
        delay(store, "later", Duration::from_secs(3_600)).await;
        let unpublished = store.unpublished_events(10).await.unwrap();
        let seen: Vec<_> =
            unpublished.iter().map(|event| (event.event_id.as_str(), event.is_delayed)).collect();
        assert_eq!(seen, [("a-1", false), ("a-2", false), ("b-1", false), ("later", true)]);
        assert_eq!(unpublished[0].key.as_deref(), Some(&b"a"[..]));
        assert_eq!(store.unpublished_events(2).await.unwrap().len(), 2);

        let leases = relayed.lease("r1").await;
        let page = relayed.read("r1", &leases).await;
        let refused = page.rows.iter().find(|row| id(row) == "a-1").unwrap();
        let lease = *leases.held.iter().find(|lease| lease.shard == refused.shard).unwrap();
        let error = Some(Error::new(ErrorKind::TooLarge, "too large"));
        store.set_aside("r1", &Rejection { lease, entry: refused.entry(), error }).await.unwrap();

        let publication = async |event: &str| record(store, event).await.event.unwrap().publication;
        let rejected = publication("a-1").await;
        assert_eq!((rejected.state, rejected.attempts), (PublicationState::Rejected, 1));
        assert!(rejected.error.as_deref().unwrap().contains("too large"), "{rejected:?}");
        let waiting = publication("a-2").await;
        assert_eq!((waiting.state, waiting.attempts, waiting.error), (PublicationState::Rejected, 0, None));
        let pending = publication("b-1").await;
        assert_eq!((pending.state, pending.attempts), (PublicationState::Pending, 0));
        let later = publication("later").await;
        assert_eq!(later.state, PublicationState::Delayed);
        assert!(later.at.unwrap() > jiff::Timestamp::now(), "{later:?}");

        // Confirmed by the broker.
        let page = relayed.read("r1", &leases).await;
        let rows: Vec<_> = page.rows.iter().map(|row| row.entry()).collect();
        store.published(&rows).await.unwrap();
        assert_eq!(publication("b-1").await, Publication::published());

        // Who retried it is told with the event, whose number is gone.
        store.retry_rejected(rejected.rejected.unwrap(), &Operator::new("ann", "cli")).await.unwrap();
        let again = record(store, "a-1").await;
        let actions: Vec<_> =
            again.actions.iter().map(|action| (action.action.as_str(), &action.operator)).collect();
        assert_eq!(actions, [("retry-rejected", &"ann".to_owned())]);
        assert_eq!(
            (again.publisher.mode, again.publisher.has_relay),
            (Some(PublisherMode::Relay), Some(true))
        );
    });
}

#[test]
fn slot_tells_what_checkpoints_prove() {
    block_on(async {
        let captured = Captured::start().await;
        let store = &captured.store;
        let publication = async |event: &str| record(store, event).await.event.unwrap().publication;
        // After the proof, which is ten minutes older than its checkpoint, and before the last checkpoint: between that and now the
        // time of a position is estimated by the length of the log, to which the server adds by itself.
        run(
            store.pool(),
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at)
               VALUES ('e-1', 'orders.order', '{}', now() - interval '12 min')",
        )
        .await;
        assert_eq!(publication("e-1").await, Publication::unknown(), "there is no checkpoint");

        captured.checkpoint("40 min").await;
        let first = captured.position().await;
        run(
            store.pool(),
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at)
               VALUES ('e-2', 'orders.order', '{}', now() - interval '30 min');
             SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000000))",
        )
        .await;
        captured.checkpoint("10 min").await;
        captured.confirm(&first).await;
        assert_eq!(record(store, "e-2").await.publisher.mode, Some(PublisherMode::Debezium));
        assert_eq!(publication("e-2").await.state, PublicationState::Pending);
        assert_eq!(store.unpublished_events(10).await.unwrap().len(), 2);

        captured.checkpoint("5 min").await;
        captured.confirm(&captured.position().await).await;
        assert_eq!(publication("e-2").await, Publication::published());
        assert_eq!(publication("e-1").await, Publication::unknown(), "it is too young for the proof");
        assert!(record(store, "e-1").await.publisher.confirmed_at.is_some());
        assert_eq!(store.unpublished_events(10).await.unwrap(), []);
    });
}

/// It was written before the time of the slot's position, and committed behind the position.
#[test]
fn event_of_a_late_commit_is_not_called_published() {
    block_on(async {
        let captured = Captured::start().await;
        let store = &captured.store;
        let mut late = store.pool().begin().await.unwrap();
        let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at)
            VALUES ('late', 'orders.order', '{}', now() - interval '50 min')";
        sqlx::raw_sql(insert).execute(&mut *late).await.unwrap();
        captured.checkpoint("30 min").await;
        captured.checkpoint("20 min").await;
        captured.confirm(&captured.position().await).await;
        late.commit().await.unwrap();
        let found = record(store, "late").await;
        assert!(found.publisher.confirmed_at.is_some(), "{found:?}");
        assert_eq!(found.event.unwrap().publication, Publication::unknown());
    });
}

#[test]
fn outbox_without_a_publisher_leaves_it_unknown() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        run(store.pool(), ONE_EVENT).await;
        let record = record(&store, "e-1").await;
        assert_eq!(
            (record.publisher.mode, record.event.unwrap().publication),
            (None, Publication::unknown())
        );
    });
}

#[test]
fn links_of_the_sql_function_leave_with_their_event() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let store = &relayed.store;
        let publish = "SELECT messagekit.publish('orders.order', 'o-1', 'orders.order.placed', '{}', id => 'e-1');
            SELECT messagekit.publish('orders.order', 'o-1', 'orders.order.paid', '{}', id => 'e-2', correlation_id => 'e-1',
              causation_id => 'e-1')";
        run(store.pool(), publish).await;
        let found = store.correlated_events(&"e-1".parse().unwrap(), 10).await.unwrap();
        assert_eq!(found.iter().map(|event| event.event_id.as_str()).collect::<Vec<_>>(), ["e-1", "e-2"]);
        assert_eq!(
            relayed.count("SELECT count(*) FROM messagekit.outbox_links").await,
            1,
            "only of events that have any"
        );

        run(
            store.pool(),
            "UPDATE messagekit.outbox_events SET created_at = now() - interval '9 days';
            UPDATE messagekit.outbox_links SET created_at = now() - interval '9 days'; DELETE FROM messagekit.outbox_pending",
        )
        .await;
        // The links of an event that is kept stay.
        run(
            store.pool(),
            "INSERT INTO messagekit.replay_jobs (ids, state, ordered_by) VALUES ('same', 'running', 'ann')",
        )
        .await;
        cleaned(store).await;
        assert_eq!(relayed.count("SELECT count(*) FROM messagekit.outbox_links").await, 1);
        run(store.pool(), "UPDATE messagekit.replay_jobs SET state = 'done'").await;
        assert_eq!(cleaned(store).await, 2, "links are not counted");
        assert_eq!(relayed.count("SELECT count(*) FROM messagekit.outbox_links").await, 0);
    });
}

/// Links leave later than their event.
#[test]
fn event_of_a_removed_id_has_its_own_links() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        let caused = |event: &str, cause: &str| {
            let mut message = Message::new("orders.order", "{}").with_header(headers::ID, event.to_owned());
            let links = EventLinks { causation_id: Some(cause.parse().unwrap()), ..EventLinks::default() };
            links.add_to(&mut message.headers);
            message
        };
        let sql = "SELECT messagekit.publish('orders.order', 'o-1', 'orders.order.paid', '{}', id => 'e-1', causation_id => ";
        let publish = async |cause: &str| {
            let published =
                sqlx::raw_sql(AssertSqlSafe(format!("{sql}'{cause}')"))).execute(store.pool()).await;
            published.expect("the id is free");
        };
        publish("left-behind").await;
        for cause in ["sql", "one", "many"] {
            run(store.pool(), "DELETE FROM messagekit.outbox_events").await;
            match cause {
                "sql" => publish(cause).await,
                _ => {
                    let messages = [caused("e-1", cause), caused("e-2", cause)];
                    let count = if cause == "one" { 1 } else { 2 };
                    let mut tx = store.begin().await.unwrap();
                    store.write(&mut tx, &messages[..count]).await.expect("the id is free");
                    store.commit(tx).await.unwrap();
                }
            }
            let links = record(&store, "e-1").await.event.unwrap().links;
            assert_eq!(links.causation_id.unwrap().as_str(), cause);
            assert_eq!(links.correlation_id, None);
        }
    });
}

/// Returns how many events left.
async fn cleaned(store: &PostgresStore) -> u64 {
    let done = clean(store, &Retention::default(), false, Shutdown::new()).await.unwrap();
    done.iter().find(|done| done.what == CleanupTarget::Events).unwrap().removed
}
