//! Who may write to the outbox, and who has changed it.

use messagekit::adapter::{EventLinks, OutboxRows};
use messagekit::{Message, Store, headers};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{block_on, unique};
use messagekit_tests::Database;

use crate::stage::{Stage, nothing, run};

#[test]
fn a_role_that_cannot_add_events_is_given_the_right() {
    block_on(async {
        let database = Database::fresh().await;
        let (url, role) = (database.url(), unique("app").replace(['.', '-'], "_"));
        let make = format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'messagekit'; GRANT USAGE ON SCHEMA messagekit TO {role};
             GRANT SELECT ON messagekit.schema_migrations TO {role}"
        );
        run(url, make).await;
        let of_role = url.replacen("messagekit:", &format!("{role}:"), 1);
        let stage = Stage::database(&of_role).owned_by(url);
        stage.heals("outbox-insert-denied", nothing).await;
        let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('a', 'orders.order', '{}')";
        run(&of_role, insert).await;
        let store = PostgresStore::connect(&of_role).await.unwrap();
        let mut caused = Message::new("orders.order", "{}").with_header(headers::ID, "b");
        let links = EventLinks { causation_id: Some("a".parse().unwrap()), ..EventLinks::default() };
        links.add_to(&mut caused.headers);
        let mut tx = store.begin().await.unwrap();
        store.write(&mut tx, &[caused]).await.expect("an event with a causation is added");
        store.commit(tx).await.unwrap();
        store.close().await;
        // What this role may not read is named.
        assert!(stage.look().unchecked("outbox-outlives-dedup-window").is_some());
        run(url, format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    });
}

#[test]
fn roles_that_may_change_the_outbox_lose_that_right() {
    block_on(async {
        let database = Database::fresh().await;
        let (url, role) = (database.url(), unique("my app"));
        run(url, format!("CREATE ROLE \"{role}\"")).await;
        for to in [format!("\"{role}\""), "PUBLIC".to_owned()] {
            run(url, format!("GRANT INSERT, UPDATE, DELETE, TRUNCATE ON messagekit.outbox_events TO {to}"))
                .await;
            Stage::database(url).heals("outbox-may-be-changed", nothing).await;
        }
        run(url, format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"")).await;
    });
}

#[test]
fn updated_events_are_found_with_and_without_partitions() {
    block_on(async {
        for database in [Database::fresh().await, Database::divided().await] {
            let url = database.url();
            let write = "INSERT INTO messagekit.outbox_events (event_id, topic, payload)
                SELECT n::text, 'orders.order', '{}' FROM generate_series(1, 20) n";
            run(url, write).await;
            let stage = Stage::database(url);
            assert!(!stage.look().has("outbox-rows-updated"));
            run(url, "UPDATE messagekit.outbox_events SET payload = '[]' WHERE event_id = '7'").await;
            stage.heals("outbox-rows-updated", nothing).await;
        }
    });
}
