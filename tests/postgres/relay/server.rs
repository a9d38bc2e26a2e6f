//! Cases that need their own server: prepared transactions, a changed password, a lost slot.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::OutboxRows;
use messagekit::relay::{Leases, OutboxReader, Page, ShardRead};
use messagekit::{Error, ErrorKind, Shutdown, Store};
use messagekit_postgres::cdc::{self, Capture};
use messagekit_postgres::publishing_mode::{Existing, to_cdc, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName, migrations};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::outbox::{LEASE, Log, ids, relay};
use messagekit_tests::Server;

async fn made(settings: &[&str]) -> (Server, PostgresStore) {
    let server = Server::start(settings).await;
    let url = server.url("shop");
    migrations::migrate(&url).await.unwrap();
    to_relay(&url, &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
    let store = PostgresStore::connect(&url).await.unwrap();
    (server, store)
}

async fn read(store: &PostgresStore, leases: &Leases) -> Page {
    let wanted: Vec<ShardRead> =
        leases.held.iter().map(|lease| ShardRead { lease: *lease, above: i64::MIN }).collect();
    store.pending("r1", &wanted, &[], &[], 1_000).await.unwrap()
}

async fn write(store: &PostgresStore, id: &str) {
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, &[event(id)]).await.unwrap();
    store.commit(tx).await.unwrap();
}

fn event(id: &str) -> messagekit::Message {
    messagekit::Message::new("orders.order", "{}").with_key("k").with_header("id", id.to_owned())
}

/// A prepared transaction has a different name among the locks than before, and may be committed at any time.
#[test]
fn stable_position_stops_before_a_prepared_transaction() {
    block_on(async {
        let (_server, store) = made(&["max_prepared_transactions=5"]).await;
        let leases = store.lease("r1", LEASE).await.unwrap();
        write(&store, "first").await;
        let first = read(&store, &leases).await.rows[0].seq;
        eventually("the first is decided", DEADLINE, async || read(&store, &leases).await.stable == first)
            .await;

        let mut open = store.pool().acquire().await.unwrap();
        let insert = "BEGIN; INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload)
            VALUES ('prepared', 'orders.order', 'k', '{}')";
        open.execute(sqlx::raw_sql(insert)).await.unwrap();
        write(&store, "third").await;
        // Observe it while it is open, to record its earlier name.
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(read(&store, &leases).await.stable, first);
        open.execute("PREPARE TRANSACTION 'later'").await.unwrap();
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            assert_eq!(read(&store, &leases).await.stable, first);
        }
        open.execute("COMMIT PREPARED 'later'").await.unwrap();
        eventually("all are decided", DEADLINE, async || read(&store, &leases).await.stable == first + 2)
            .await;
        let page = read(&store, &leases).await;
        assert_eq!(ids(&page), ["first", "prepared", "third"]);
    });
}

/// The ways in which a server loses its last positions: they were never written, or a standby had not received them.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Restart,
    Crash,
}

/// Kills a server process: the server ends the others, and recovers without a restart.
async fn crash(server: &Server) {
    let url = server.url("postgres");
    let mut conn = PgConnection::connect(&url).await.unwrap();
    let mut witness = PgConnection::connect(&url).await.unwrap();
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut conn).await.unwrap();
    let killed = Command::new("kill").args(["-KILL", &backend.to_string()]).status().unwrap();
    assert!(killed.success(), "{backend} is killed");
    // A new connection could still be accepted before the server notices the crash, and would end with all others.
    eventually("all are gone", DEADLINE, async || {
        let mut is_gone = true;
        for conn in [&mut conn, &mut witness] {
            is_gone &= sqlx::query("SELECT 1").execute(conn).await.is_err();
        }
        is_gone
    })
    .await;
    eventually("the server answers", DEADLINE, async || PgConnection::connect(&url).await.is_ok()).await;
}

/// At the first check the positions were assigned again and more, so the last position proves nothing.
async fn decides_anew_after(loss: Loss) {
    let (mut server, store) = made(&[]).await;
    let leases = store.lease("r1", LEASE).await.unwrap();
    for n in 0..10 {
        write(&store, &format!("before-{n}")).await;
    }
    let last = async |conn: &mut PgConnection| -> i64 {
        let last = "SELECT max(seq) FROM messagekit.outbox_events";
        sqlx::query_scalar(last).fetch_one(conn).await.unwrap()
    };
    let known = last(&mut *store.pool().acquire().await.unwrap()).await;
    eventually("all are decided", DEADLINE, async || read(&store, &leases).await.stable == known).await;
    let former = read(&store, &leases).await.server;
    assert_eq!(read(&store, &leases).await.server, former, "one server has one name");

    match loss {
        Loss::Restart => {
            server.end("-INT");
            server.run().await;
        }
        Loss::Crash => crash(&server).await,
    }
    let mut conn = PgConnection::connect(&server.url("shop")).await.unwrap();
    let lose = "DELETE FROM messagekit.outbox_pending WHERE seq > $1 - 5";
    sqlx::query(lose).bind(known).execute(&mut conn).await.unwrap();
    sqlx::query("DELETE FROM messagekit.outbox_events WHERE seq > $1 - 5")
        .bind(known)
        .execute(&mut conn)
        .await
        .unwrap();
    let back = "SELECT setval(pg_get_serial_sequence('messagekit.outbox_events', 'seq'), $1 - 5)";
    sqlx::query(back).bind(known).execute(&mut conn).await.unwrap();
    let insert = "BEGIN; INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload)
        VALUES ('open', 'orders.order', 'k', '{}')";
    conn.execute(sqlx::raw_sql(insert)).await.unwrap();
    let place: i64 = sqlx::query_scalar("SELECT seq FROM messagekit.outbox_events WHERE event_id = 'open'")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert!(place <= known, "its place is given a second time");
    let mut other = PgConnection::connect(&server.url("shop")).await.unwrap();
    let more = "INSERT INTO messagekit.outbox_events (event_id, topic, payload) SELECT 'more-' || n, 'orders.order', '{}' FROM generate_series(1, 10) n";
    other.execute(more).await.unwrap();
    assert!(last(&mut other).await > known, "the last place tells nothing");

    let wanted: Vec<ShardRead> =
        leases.held.iter().map(|lease| ShardRead { lease: *lease, above: i64::MIN }).collect();
    let mut page = Err(Error::new(ErrorKind::Unavailable, "not asked yet"));
    eventually("it reads again", DEADLINE, async || {
        page = store.pending("r1", &wanted, &[], &[], 1_000).await;
        page.is_ok()
    })
    .await;
    let Page { stable: decided, server, .. } = page.unwrap();
    assert_ne!(server, former, "{loss:?}: a relay would read on behind its former places");
    assert!(decided < place, "{loss:?}: {decided} is decided, and who has {place} may still commit");
    conn.execute("COMMIT").await.unwrap();
    let all = last(&mut other).await;
    eventually("all are decided again", DEADLINE, async || read(&store, &leases).await.stable == all).await;
}

#[test]
fn stable_position_is_reset_after_a_server_restart() {
    block_on(decides_anew_after(Loss::Restart));
}

#[test]
fn stable_position_is_reset_after_a_server_crash() {
    block_on(decides_anew_after(Loss::Crash));
}

#[test]
fn running_relay_survives_a_password_change_and_a_new_one_fails() {
    block_on(async {
        let (server, owner) = made(&[]).await;
        let make = "CREATE ROLE relay LOGIN PASSWORD 'old'; GRANT ALL ON SCHEMA messagekit TO relay;
            GRANT ALL ON ALL TABLES IN SCHEMA messagekit TO relay; GRANT ALL ON ALL SEQUENCES IN SCHEMA messagekit TO relay";
        owner.pool().execute(sqlx::raw_sql(make)).await.unwrap();
        let url = server.url_of("relay:old", "shop");
        let store = PostgresStore::lazy(&url).unwrap();
        let (log, shutdown) = (Arc::new(Log::default()), Shutdown::new());
        let running = relay(&store, &log).unwrap();
        let stats = running.stats();
        let running = tokio::spawn(running.run(shutdown.clone()));
        write(&owner, "before").await;
        eventually("it is published", DEADLINE, async || log.ids() == ["before"]).await;

        let change = "ALTER ROLE relay PASSWORD 'new';
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'relay'";
        owner.pool().execute(sqlx::raw_sql(change)).await.unwrap();
        eventually("it says so", DEADLINE, async || {
            let stats = stats.read();
            stats.database.is_some_and(|away| away.error.contains("server refuses the login"))
        })
        .await;
        let strange = relay(&PostgresStore::lazy(&url).unwrap(), &log).unwrap();
        let refused: Error = strange.run(Shutdown::new()).await.unwrap_err();
        assert!(refused.to_string().contains("server refuses the login"), "{refused}");

        write(&owner, "behind").await;
        owner.pool().execute("ALTER ROLE relay PASSWORD 'old'").await.unwrap();
        eventually("it goes on", DEADLINE, async || log.ids().contains(&"behind".to_owned())).await;
        shutdown.request();
        running.await.unwrap().unwrap();
    });
}

/// A slot that was created before and lost since would replace the relay and keep nothing.
#[test]
fn relay_is_not_ended_for_a_slot_that_was_lost() {
    block_on(async {
        let settings =
            ["wal_level=logical", "max_slot_wal_keep_size=1MB", "min_wal_size=2MB", "max_wal_size=2MB"];
        let (server, store) = made(&settings).await;
        let (url, schema) = (server.url("shop"), SchemaName::default());
        let Capture { slot, publication, .. } = Capture::of(&url, &schema).unwrap();
        for make in [
            format!(
                "CREATE PUBLICATION {publication} FOR TABLE messagekit.outbox_events WITH (publish = 'insert')"
            ),
            format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"),
        ] {
            store.pool().execute(AssertSqlSafe(make)).await.unwrap();
        }
        eventually("the slot is lost", DEADLINE, async || {
            let much = "SELECT pg_logical_emit_message(false, 'much', repeat('x', 2000000)); SELECT pg_switch_wal(); CHECKPOINT";
            store.pool().execute(sqlx::raw_sql(much)).await.unwrap();
            let status = "SELECT wal_status = 'lost' FROM pg_replication_slots";
            sqlx::query_scalar(status).fetch_one(store.pool()).await.unwrap()
        })
        .await;

        let refused = to_cdc(&url, &schema, Some("messagekit-cdc"), DEADLINE).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WrongState, "{refused}");
        assert!(
            refused
                .to_string()
                .contains("is lost or gone: delete it with `messagekit connector delete --slot`"),
            "{refused}"
        );
        let leases = store.lease("r1", LEASE).await.unwrap();
        write(&store, "still-the-relays").await;
        let page = read(&store, &leases).await;
        assert_eq!(ids(&page), ["still-the-relays"], "the relay goes on");
        let entry = page.rows[0].entry();
        store.published(&[entry]).await.unwrap();

        cdc::drop_slot(&url, &schema).await.unwrap();
        let done = to_cdc(&url, &schema, Some("messagekit-cdc"), DEADLINE).await.unwrap();
        assert!(done.iter().any(|step| step == "end of the relay"), "{done:?}");
        assert_eq!(store.lease("r1", LEASE).await.unwrap_err().kind(), ErrorKind::Schema);
    });
}
