//! A cleanup that is killed in the middle of a step, repeatedly.

use std::time::Duration;

use messagekit::adapter::Markers;
use messagekit::cleanup::{Retention, clean};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::{Database, Launch, Program};
use sqlx::{Connection, PgConnection};

use crate::shop::run;

/// The steps, counted over all runs, in which a cleanup is killed.
const KILLED_IN: [i64; 5] = [1, 4, 5, 20, 41];

/// A session that deletes markers waits in these steps, before their first row, for as long as the test holds the lock.
/// A rollback of a step does not reset the counter.
const STOPS: &str = "
CREATE SEQUENCE steps;
CREATE FUNCTION stops() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF nextval('steps') = ANY ('{1,4,5,20,41}'::bigint[]) THEN PERFORM pg_advisory_xact_lock_shared(7); END IF;
    RETURN NULL;
  END $$;
CREATE TRIGGER stops AFTER DELETE ON messagekit.processed_messages FOR EACH STATEMENT EXECUTE FUNCTION stops()";

fn start(url: &str) -> Program {
    Launch::of("messagekit").arguments(&["cleanup", "--database", url]).start()
}

async fn count(store: &PostgresStore, rows: &str) -> i64 {
    let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {rows}"));
    sqlx::query_scalar(count).fetch_one(store.pool()).await.unwrap()
}

/// Returns the sessions that wait for the lock of the test.
async fn stopped(store: &PostgresStore) -> Vec<i32> {
    let waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query_scalar(waiting).fetch_all(store.pool()).await.unwrap()
}

#[test]
fn cleanup_killed_in_any_step_removes_no_needed_row_and_resumes() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        store.note_window("billing", Some(Duration::from_secs(24 * 3_600))).await.unwrap();
        let fill = "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, processed_at)
            SELECT 'billing', 'm-' || n, 'done', now() - (n % 4) * interval '20 hours' FROM generate_series(1, 60000) n";
        run(store.pool(), fill).await;
        sqlx::raw_sql(STOPS).execute(store.pool()).await.unwrap();
        let old = "messagekit.processed_messages WHERE processed_at < now() - interval '2 days'";
        let young = "messagekit.processed_messages WHERE processed_at > now() - interval '2 days'";

        let mut left = 15_000;
        for step in KILLED_IN {
            let mut gate = PgConnection::connect(database.url()).await.unwrap();
            sqlx::query("SELECT pg_advisory_lock(7)").execute(&mut gate).await.unwrap();
            let mut cleanup = start(database.url());
            eventually("the cleanup is in the step", DEADLINE, async || !stopped(&store).await.is_empty())
                .await;
            let session = stopped(&store).await[0];
            let at: i64 =
                sqlx::query_scalar("SELECT last_value FROM steps").fetch_one(store.pool()).await.unwrap();
            assert_eq!(at, step);
            let before = count(&store, old).await;
            cleanup.kill();
            gate.close().await.unwrap();
            let session = format!("pg_stat_activity WHERE pid = {session}");
            eventually("its session is over", DEADLINE, async || count(&store, &session).await == 0).await;
            assert_eq!(count(&store, old).await, before, "a step is done as a whole or not at all");
            let told = "messagekit.consumer_windows WHERE complete_since IS NOT NULL";
            assert_eq!(count(&store, told).await, i64::from(before < 15_000), "removed and told in one");
            assert!(before <= left && before > 0, "{before} of {left}");
            left = before;
            assert_eq!(count(&store, young).await, 45_000);
        }
        assert!(left < 15_000, "the steps before those it was killed in stay done");

        let done = clean(&store, &Retention::default(), false, std::future::pending::<()>()).await.unwrap();
        assert_eq!(done[2].removed, left.unsigned_abs());
        assert_eq!((count(&store, old).await, count(&store, young).await), (0, 45_000));
    });
}
