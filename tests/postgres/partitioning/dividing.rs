//! Tables that are partitioned while they are in use.

use std::time::Duration;

use messagekit::adapter::Markers;
use messagekit::cleanup::{Cleanup, CleanupRequest, CleanupTarget, Retention};
use messagekit::{Claim, ErrorKind, MessageId, Store};
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName, partitioning};
use messagekit_testkit::{DEADLINE, block_on};
use messagekit_tests::Database;

use super::{cleaned, count, divide, divided, execute, id, in_days, published, write};
use crate::shop::{Shop, run};

#[test]
fn what_was_there_is_there_and_goes_on() {
    block_on(async {
        let shop = Shop::open().await;
        to_relay(shop.database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
        let role = messagekit_testkit::unique("clerk").replace(['.', '-'], "_");
        let rights = format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA messagekit TO {role};
             GRANT INSERT ON messagekit.outbox_events TO {role};
             CREATE PUBLICATION messagekit_outbox FOR TABLE messagekit.outbox_events
               WITH (publish = 'insert', publish_via_partition_root = true)"
        );
        execute(&shop.store, rights).await;
        let today: MessageId = id(0, 1).parse().unwrap();
        write(&shop.store, today.as_str(), 0).await;
        write(&shop.store, "order-17", 0).await;
        let tx = shop.bill(&shop.store, &today).await;
        shop.store.commit(tx).await.unwrap();

        assert_eq!(divide(&shop.database).await.unwrap(), ["events and markers are divided by day"]);
        assert_eq!(divide(&shop.database).await.unwrap(), Vec::<String>::new(), "twice is once");
        assert_eq!(shop.look(&today).await, Claim::Done, "its marker is found where it was");
        assert_eq!(count(&shop.store, "messagekit.outbox_events_other").await, 2, "nothing is moved");
        assert_eq!(count(&shop.store, "messagekit.outbox_pending").await, 2, "nothing goes out again");

        execute(
            &shop.store,
            format!(
                "SET ROLE {role}; INSERT INTO messagekit.outbox_events (event_id, topic, payload)
            VALUES ('late', 'orders.order', '\\x00'); RESET ROLE"
            ),
        )
        .await;
        let last = "messagekit.outbox_events WHERE event_id = 'late' AND seq = (SELECT max(seq) FROM messagekit.outbox_events)
            AND seq = 3";
        assert_eq!(count(&shop.store, last).await, 1, "places go on");
        assert_eq!(count(&shop.store, "messagekit.outbox_pending").await, 3, "the relay sees it");
        let whole =
            "pg_publication_tables WHERE pubname = 'messagekit_outbox' AND tablename = 'outbox_events'";
        assert_eq!(count(&shop.store, whole).await, 1, "a connector reads the whole under its name");

        // From the day after tomorrow on.
        let mut days = Vec::new();
        for ahead in [0, 1, 2, 3, 34] {
            let day = sqlx::query_scalar("SELECT messagekit.day_of($1)").bind(in_days(ahead, 1));
            days.push(day.fetch_one(shop.store.pool()).await.unwrap());
        }
        let second: i16 = days[2];
        assert_eq!(days, [-1, -1, second, (second + 1) % 32, second]);
        assert!((0..32).contains(&second), "{second}");
        assert_eq!(count(&shop.store, "messagekit.outbox_events_other").await, 3);
    });
}

#[test]
fn an_id_is_claimed_once_wherever_its_day_is() {
    block_on(async {
        let (database, store) = divided().await;
        let rival = database.store().await;
        for id in [id(0, 1), id(31, 2), id(32, 3), "order-17".to_owned(), id(0, 4).to_uppercase()] {
            let id: MessageId = id.parse().unwrap();
            let request = |store: PostgresStore| {
                let id = id.clone();
                async move {
                    let mut tx = store.begin().await.unwrap();
                    let request = messagekit::adapter::ClaimRequest {
                        id,
                        topic: "orders.order".into(),
                        key: None,
                        generation: 0,
                    };
                    let claims = store.claim(&mut tx, "billing", &[request]).await.unwrap();
                    store.commit(tx).await.unwrap();
                    claims[0]
                }
            };
            let claims = tokio::join!(request(store.clone()), request(rival.clone()));
            let fresh = [claims.0, claims.1].iter().filter(|claim| **claim == Claim::Fresh).count();
            assert_eq!(fresh, 1, "{id}: {claims:?}");
        }
        assert_eq!(count(&store, "messagekit.processed_messages_other").await, 2);
    });
}

#[test]
fn what_hangs_on_the_tables_is_named_and_nothing_is_divided() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        run(
            store.pool(),
            "CREATE VIEW shipped AS SELECT event_id FROM messagekit.outbox_events;
             CREATE INDEX by_type ON messagekit.outbox_events (event_type)",
        )
        .await;
        let error = divide(&database).await.expect_err("they would stay behind");
        let text = error.to_string();
        assert!(
            error.kind() == ErrorKind::WrongState && text.contains("by_type") && text.contains("shipped"),
            "{text}"
        );
        run(store.pool(), "DROP VIEW shipped; DROP INDEX messagekit.by_type").await;

        write(&store, "ffffffff-ffff-7000-8000-000000000000", 0).await;
        let error = divide(&database).await.expect_err("nobody lives then");
        assert!(
            error.kind() == ErrorKind::WrongState && error.to_string().contains("after tomorrow"),
            "{error}"
        );
        run(store.pool(), "DELETE FROM messagekit.outbox_events").await;

        run(store.pool(), "CREATE PUBLICATION everything FOR ALL TABLES").await;
        let error = divide(&database).await.expect_err("its readers would see the names of parts");
        assert!(error.to_string().contains("publication everything"), "{error}");
        run(store.pool(), "DROP PUBLICATION everything").await;
        run(
            store.pool(),
            "CREATE FUNCTION place(id text) RETURNS void LANGUAGE sql BEGIN ATOMIC
               INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES (id, 'orders.order', '\\x00'); END",
        )
        .await;
        let error = divide(&database).await.expect_err("it writes to the table and not to its name");
        assert!(error.to_string().contains("function place"), "{error}");
        run(store.pool(), "DROP FUNCTION place").await;

        let mut writer = store.begin().await.unwrap();
        let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('open', 'orders.order', '\\x00')";
        sqlx::query(insert).execute(&mut *writer).await.unwrap();
        let error = partitioning::divide(database.url(), &SchemaName::default(), Duration::ZERO)
            .await
            .expect_err("it is in use");
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Conflict, true), "{error}");
        store.commit(writer).await.unwrap();
        assert_eq!(divide(&database).await.unwrap().len(), 1);
        assert_eq!(count(&store, "messagekit.outbox_events").await, 1);
    });
}

/// No claim would find it.
#[test]
fn a_marker_in_the_part_of_another_day_is_refused() {
    block_on(async {
        let (_database, store) = divided().await;
        let elsewhere = "INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome) VALUES ('billing', $1, $2, 'done')";
        for (id, day) in [(id(3, 1), -1), (id(3, 1), 40), ("order-17".to_owned(), 3)] {
            let copied = sqlx::query(elsewhere).bind(&id).bind(day).execute(store.pool()).await;
            assert!(copied.is_err(), "{id} does not belong to {day}");
        }
        let dayless = "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome) VALUES ('billing', $1, 'done')";
        sqlx::query(dayless).bind(id(3, 1)).execute(store.pool()).await.expect_err("its id says a day");
    });
}

#[test]
fn a_division_cut_off_in_its_index_build_is_finished_by_a_rerun() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        write(&store, "order-17", 0).await;
        // An older transaction: the index waits for it, and no session waits for the index.
        let mut older = store.begin().await.unwrap();
        let claim = "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome) VALUES ('billing', 'm', 'done')";
        sqlx::query(claim).execute(&mut *older).await.unwrap();
        let short = Duration::from_millis(300);
        let error =
            partitioning::divide(database.url(), &SchemaName::default(), short).await.expect_err("it waits");
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let invalid =
            "pg_index WHERE indrelid = 'messagekit.processed_messages'::regclass AND NOT indisvalid";
        assert_eq!(count(&store, invalid).await, 1, "what a server leaves of it");
        store.rollback(older).await.unwrap();
        assert_eq!(divide(&database).await.unwrap().len(), 1);
        assert_eq!(count(&store, "messagekit.outbox_events").await, 1);
    });
}

#[test]
fn a_cleanup_that_began_before_the_tables_were_divided_goes_on() {
    block_on(async {
        let database = Database::fresh().await;
        to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
        let store = database.store().await;
        write(&store, "order-17", 8).await;
        published(&store).await;
        divide(&database).await.unwrap();
        let retention = Retention::default();
        let begun = |from| CleanupRequest {
            what: CleanupTarget::Events,
            retention: &retention,
            from: Some(from),
            is_trial: false,
        };
        let step = store.remove_step(begun("0")).await.unwrap();
        assert_eq!(
            (step.removed, step.days, step.next.as_deref()),
            (0, 0, Some("01:0")),
            "from the beginning"
        );
        assert_eq!(cleaned(&store, CleanupTarget::Events).await, (1, 0));
        let error = store.remove_step(begun("99:0")).await;
        assert_eq!(error.expect_err("no such part").kind(), ErrorKind::InvalidConfiguration);
    });
}
