//! Publication, role and slot, on a server of this test.

use messagekit_postgres::SchemaName;
use messagekit_postgres::cdc::{self, Capture};
use messagekit_postgres::migrations;
use messagekit_testkit::block_on;

use crate::stage::{Stage, nothing, run};
use messagekit_tests::Server;

/// Each fault as statements, and the name under which it is found. `SLOT` stands for the name of the slot.
const FAULTS: [(&str, &str); 12] = [
    ("ALTER PUBLICATION messagekit_outbox SET TABLE public.other", "publication-without-outbox"),
    (
        "ALTER PUBLICATION messagekit_outbox SET TABLE messagekit.outbox_events WHERE (topic = 'orders.order')",
        "publication-filtered",
    ),
    ("ALTER PUBLICATION messagekit_outbox ADD TABLE public.other", "publication-of-more-tables"),
    ("ALTER PUBLICATION messagekit_outbox SET (publish = 'insert, delete')", "publication-not-of-inserts"),
    ("ALTER PUBLICATION messagekit_outbox SET (publish = 'delete')", "publication-not-of-inserts"),
    (
        "ALTER PUBLICATION messagekit_outbox SET (publish_via_partition_root = false)",
        "publication-not-via-root",
    ),
    ("ALTER ROLE messagekit_cdc NOREPLICATION", "capture-role-lacks-rights"),
    ("ALTER ROLE messagekit_cdc VALID UNTIL '2001-01-01'", "capture-role-lacks-rights"),
    ("REVOKE CONNECT ON DATABASE shop FROM PUBLIC, messagekit_cdc", "capture-role-lacks-rights"),
    (
        "REVOKE CONNECT ON DATABASE shop FROM messagekit_cdc; DROP ROLE messagekit_cdc",
        "capture-role-lacks-rights",
    ),
    (
        "SELECT pg_drop_replication_slot('SLOT'); SELECT pg_create_physical_replication_slot('SLOT')",
        "slot-foreign",
    ),
    (
        "SELECT pg_drop_replication_slot('SLOT'); DROP PUBLICATION messagekit_outbox;
         CREATE PUBLICATION messagekit_outbox FOR ALL TABLES WITH (publish = 'insert', publish_via_partition_root = true)",
        "publication-of-all-tables",
    ),
];

#[test]
fn each_fault_of_capture_is_found_and_repaired_as_printed() {
    block_on(async {
        let server = Server::start(&["wal_level=logical"]).await;
        let (url, schema) = (server.url("shop"), SchemaName::default());
        migrations::migrate(&url).await.unwrap();
        run(&url, "CREATE TABLE public.other (id int PRIMARY KEY)").await;
        cdc::set_up(&url, &schema, Some("messagekit-cdc")).await.unwrap();
        let (stage, slot) = (Stage::database(&url), Capture::of(&url, &schema).unwrap().slot);
        // No connector reads here; the tests of the connector have one.
        assert_eq!(stage.look().names(), ["slot-inactive"]);
        for (fault, name) in FAULTS {
            run(&url, fault.replace("SLOT", &slot)).await;
            stage.heals(name, nothing).await;
            assert_eq!(stage.look().names(), ["slot-inactive"], "after {fault}");
        }
    });
}

#[test]
fn a_server_that_does_not_log_enough_is_found_and_repaired() {
    block_on(async {
        let mut server = Server::start(&[]).await;
        let url = server.url("shop");
        migrations::migrate(&url).await.unwrap();
        run(
            &url,
            "CREATE PUBLICATION messagekit_outbox FOR TABLE messagekit.outbox_events
               WITH (publish = 'insert', publish_via_partition_root = true)",
        )
        .await;
        let stage = Stage::database(&url);
        let restarts = async |step: &str| {
            assert_eq!(step, "restart PostgreSQL");
            server.end("-INT");
            server.run().await;
        };
        stage.heals("wal-level-not-logical", restarts).await;
        stage.heals("slot-missing", nothing).await;
    });
}
