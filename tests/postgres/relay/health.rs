//! The health of an outbox that relays publish.

use std::time::Duration;

use messagekit::operations::OutboxLag;
use messagekit::relay::{OutboxReader, Rejection};
use messagekit::{Error, ErrorKind};
use messagekit_postgres::SchemaName;
use messagekit_postgres::cdc;
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_testkit::{DEADLINE, block_on};
use messagekit_tests::Database;
use sqlx::Executor;

use super::outbox::{Relayed, entries};
use crate::whole_lag::whole_lag;

async fn lag(relayed: &Relayed) -> OutboxLag {
    whole_lag(&relayed.store).await
}

#[test]
fn pending_is_what_no_broker_has_confirmed() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        assert_eq!(lag(&relayed).await.problems, [""; 0], "nothing waits for a relay");
        let leases = relayed.lease("r1").await;
        let empty = OutboxLag::default();
        assert_eq!(lag(&relayed).await, empty);
        relayed
            .store
            .pool()
            .execute(
                "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, available_at) VALUES
                   ('now', 'a.b', 'k', '', NULL), ('behind', 'a.b', 'k', '', NULL), ('later', 'a.b', 'k', '', now() + interval '1 h');
                 UPDATE messagekit.outbox_pending SET available_at = now() - interval '1 min' WHERE event_id = 'now'",
            )
            .await
            .unwrap();
        let found = lag(&relayed).await;
        assert_eq!(found.pending, 2, "{found:?}");
        assert!(found.overdue >= 1, "{found:?}");
        let oldest = found.oldest.unwrap();
        assert!(oldest >= Duration::from_secs(60) && oldest < Duration::from_secs(600), "{oldest:?}");

        let page = relayed.read("r1", &leases).await;
        let lease = *leases.held.iter().find(|lease| lease.shard == page.rows[0].shard).unwrap();
        let error = Some(Error::new(ErrorKind::TooLarge, "too large"));
        relayed
            .store
            .set_aside("r1", &Rejection { lease, entry: page.rows[0].entry(), error })
            .await
            .unwrap();
        let found = lag(&relayed).await;
        assert_eq!((found.pending, found.problems.len()), (0, 1), "{found:?}");
        assert!(found.problems[0].contains("rejected 1 events, and 1 wait"), "{found:?}");

        relayed.store.published(&entries(&page)).await.unwrap();
        relayed.store.hand_over("r1", &[]).await.unwrap();
        let insert =
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('new', 'a.b', '')";
        relayed.store.pool().execute(insert).await.unwrap();
        assert_eq!(lag(&relayed).await.problems.len(), 1, "a relay may be on its way");
        let wait = "UPDATE messagekit.outbox_pending SET available_at = now() - interval '31 s' WHERE event_id = 'new'";
        relayed.store.pool().execute(wait).await.unwrap();
        assert!(lag(&relayed).await.problems[0].contains("no relay lives"));
    });
}

#[test]
fn two_publishing_modes_at_once_and_none_are_problems() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        let insert =
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('e', 'a.b', '')";
        store.pool().execute(insert).await.unwrap();
        let found = whole_lag(&store).await;
        assert!(found.problems[0].contains("nor the trigger of a relay"), "{found:?}");

        let schema = SchemaName::default();
        let make = "CREATE PUBLICATION messagekit_outbox FOR TABLE messagekit.outbox_events";
        store.pool().execute(make).await.unwrap();
        to_relay(database.url(), &schema, Existing::Leave, DEADLINE).await.unwrap();
        let found = whole_lag(&store).await;
        assert!(found.problems[0].contains("events go out twice"), "{found:?}");
        cdc::drop_slot(database.url(), &schema).await.unwrap();
        let found = whole_lag(&store).await;
        assert_eq!((found.pending, found.problems.len()), (0, 0), "{found:?}");
    });
}
