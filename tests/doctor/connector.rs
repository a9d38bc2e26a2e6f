//! Slots that a connector reads, and slots that have to be made anew, with Kafka Connect.

use jiff::Timestamp;
use messagekit_postgres::SchemaName;
use messagekit_postgres::cdc::Capture;
use messagekit_postgres::migrations;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use sqlx::{Connection, PgConnection};

use crate::stage::{Stage, as_written, run, shell};
use messagekit_tests::Server;

/// The most log that the server keeps, and half of it is far behind.
const KEPT: &str = "max_slot_wal_keep_size=16MB";

const EVENT: &str = "SELECT messagekit.publish('doctor.order', 'k', 'doctor.order.placed', '{}')";

/// A captured database with a connector of its own name. A drop deletes the connector.
struct Captured {
    server: Server,
    database: String,
    url: String,
    slot: String,
}

impl Captured {
    async fn new() -> Self {
        let server =
            Server::start(&["wal_level=logical", KEPT, "min_wal_size=2MB", "max_wal_size=2MB"]).await;
        let database = unique("doctor").replace(['.', '-'], "_");
        run(&server.url("postgres"), format!("CREATE DATABASE {database}")).await;
        let url = server.url(&database);
        migrations::migrate(&url).await.unwrap();
        let slot = Capture::of(&url, &SchemaName::default()).unwrap().slot;
        let captured = Self { server, database, url, slot };
        captured.messagekit("migrate --cdc");
        captured
    }

    fn messagekit(&self, command: &str) {
        let line = format!("messagekit {command} --database '{}'", self.url);
        let done = shell(&line);
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Deletes the connector and keeps its slot.
    async fn stop_reading(&self) {
        self.messagekit("connector delete");
        eventually("nobody reads the slot", DEADLINE, async || {
            let active = "SELECT NOT active FROM pg_replication_slots WHERE slot_name = $1";
            let mut conn = PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(active).bind(&self.slot).fetch_one(&mut conn).await.unwrap()
        })
        .await;
    }

    /// Writes a megabyte of log that belongs to no event.
    async fn write_log(&self) {
        let much = "SELECT pg_logical_emit_message(false, 'much', repeat('x', 1000000)); SELECT pg_switch_wal(); CHECKPOINT";
        run(&self.server.url(&self.database), much).await;
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        let line = format!("messagekit connector delete --slot --yes --database '{}'", self.url);
        let deleted = shell(&line);
        if !deleted.status.success() && !std::thread::panicking() {
            panic!("the connector is left behind: {}", String::from_utf8_lossy(&deleted.stderr));
        }
    }
}

#[test]
fn an_unread_slot_is_read_after_its_repair() {
    block_on(async {
        let captured = Captured::new().await;
        let stage = Stage::database(&captured.url);
        stage.heals("slot-inactive", as_written).await;
        assert_eq!(stage.look().names(), [""; 0]);

        captured.stop_reading().await;
        for _ in 0..10 {
            captured.write_log().await;
        }
        // The connector confirms what is behind it with the next event.
        run(&captured.url, EVENT).await;
        stage.heals("slot-far-behind", as_written).await;
    });
}

/// Runs the command of a step, with a beginning for a replay.
async fn replayed(step: &str, from: Timestamp) {
    as_written(&step.replace("--from FROM", &format!("--from {from}"))).await;
}

#[test]
fn a_slot_of_no_use_is_made_anew_by_its_repair() {
    block_on(async {
        let captured = Captured::new().await;
        let stage = Stage::database(&captured.url);
        let from = Timestamp::now();
        eventually("the slot is lost", DEADLINE, async || {
            captured.write_log().await;
            stage.look().has("slot-lost")
        })
        .await;
        stage.heals("slot-lost", async |step| replayed(step, from).await).await;
        captured.stop_reading().await;
        run(&captured.url, "DROP PUBLICATION messagekit_outbox").await;
        stage.heals("publication-missing", async |step| replayed(step, from).await).await;

        captured.stop_reading().await;
        run(&captured.url, format!("SELECT pg_drop_replication_slot('{}')", captured.slot)).await;
        // A replay does not begin before the oldest event.
        run(&captured.url, EVENT).await;
        let from = Timestamp::now();
        run(&captured.url, EVENT).await;
        stage.heals("slot-missing", async |step| replayed(step, from).await).await;
        let copied =
            "DO $$ BEGIN ASSERT EXISTS (SELECT FROM messagekit.outbox_events WHERE copy > 0); END $$";
        run(&captured.url, copied).await;
        eventually("the connector reads", DEADLINE, async || stage.look().names().is_empty()).await;
    });
}
