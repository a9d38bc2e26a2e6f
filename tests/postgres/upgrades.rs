//! This program upgrades databases of every released schema.

use std::time::Duration;

use messagekit::adapter::{Bookkeeping, ClaimRequest, InFlightAttempts, Offsets, Processed, Retries};
use messagekit::operations::{
    Action, ActionResult, EventFilter, FailedMessageFilter, FailedMessages, Operator, Origin, ReplayState,
    Replays, StoredEvent,
};
use messagekit::relay::RejectedEvents;
use messagekit::{Claim, Store};
use messagekit_postgres::migrations::{self, MIGRATIONS};
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

/// A dump of each released schema with its version. They are never edited: a new schema adds its own.
/// `pg_dump --schema=messagekit --column-inserts --no-owner`, after rows were inserted into each new table.
const DUMPS: &[(i32, &str)] = &[(1, include_str!("upgrades/0001.sql"))];

const LEASE: Duration = Duration::from_secs(60);

async fn restored(dump: &'static str) -> Database {
    let database = Database::empty().await;
    run(&mut database.connection().await, dump).await;
    database
}

async fn run(conn: &mut PgConnection, sql: &'static str) {
    conn.execute(sqlx::raw_sql(sql)).await.expect("runs");
}

/// Returns every table with the number of its rows.
async fn rows(conn: &mut PgConnection) -> Vec<(String, i64)> {
    let tables = "SELECT relname::text FROM pg_class
        WHERE relnamespace = 'messagekit'::regnamespace AND relkind = 'r' AND relname <> 'schema_migrations' ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *conn).await.unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM messagekit.{table}"));
        rows.push((table, sqlx::query_scalar(count).fetch_one(&mut *conn).await.unwrap()));
    }
    rows
}

/// Returns the definitions of the tables, without the order of columns, the trigger of the relay, and the parentheses
/// of functions: a restored expression has different ones.
async fn definitions(conn: &mut PgConnection) -> Vec<String> {
    let definitions = "
        SELECT concat_ws(' ', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
            pg_get_expr(adbin, adrelid), attcollation::regcollation)
          FROM pg_attribute JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
          WHERE c.relnamespace = 'messagekit'::regnamespace AND c.relkind = 'r' AND attnum > 0 AND NOT attisdropped
        UNION ALL SELECT concat_ws(' ', relname, reloptions) FROM pg_class WHERE relnamespace = 'messagekit'::regnamespace
        UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
          WHERE connamespace = 'messagekit'::regnamespace
        UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid
          WHERE c.relnamespace = 'messagekit'::regnamespace
        UNION ALL SELECT concat_ws(' ', translate(pg_get_functiondef(oid), '()', ''), has_function_privilege('public', oid, 'EXECUTE')) FROM pg_proc
          WHERE pronamespace = 'messagekit'::regnamespace
        UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger
          WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname <> 'outbox_is_pending'
        ORDER BY 1";
    sqlx::query_scalar(definitions).fetch_all(conn).await.unwrap()
}

#[test]
fn newest_schema_is_dumped_and_equals_what_the_migrations_make() {
    block_on(async {
        let (version, dump) = DUMPS.last().unwrap();
        let newest = MIGRATIONS.last().unwrap().version;
        assert_eq!(*version, newest, "tests/postgres/upgrades has no dump of the newest schema: add one");
        let (restored, made) = (restored(dump).await, Database::fresh().await);
        let of_dump = definitions(&mut restored.connection().await).await;
        let of_steps = definitions(&mut made.connection().await).await;
        let only_in = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|line| !those.contains(line)).cloned().collect()
        };
        assert_eq!((only_in(&of_dump, &of_steps), only_in(&of_steps, &of_dump)), (Vec::new(), Vec::new()));
        for (table, count) in rows(&mut restored.connection().await).await {
            assert!(count > 0, "the dump has no row of {table}");
        }
    });
}

/// A step that waits for writers would stop each service that writes events.
#[test]
fn released_schemas_upgrade_beside_an_open_writer_and_keep_rows() {
    block_on(async {
        for (version, dump) in DUMPS {
            let database = restored(dump).await;
            let mut conn = database.connection().await;
            let before = rows(&mut conn).await;
            assert_eq!(migrations::status(database.url()).await.unwrap().current, *version);

            let mut writer = database.connection().await;
            run(
                &mut writer,
                "BEGIN; SELECT messagekit.publish('orders.order', 'o-1', 'orders.order.placed', '{}')",
            )
            .await;
            migrations::migrate(database.url()).await.expect("it waits for no writer");
            run(&mut writer, "ROLLBACK").await;

            assert_eq!(migrations::status(database.url()).await.unwrap().pending, Vec::<&str>::new());
            let after = rows(&mut conn).await;
            for row in before {
                assert!(after.contains(&row), "{row:?} of version {version} became {after:?}");
            }
        }
    });
}

#[test]
fn outbox_of_every_released_schema_goes_on() {
    block_on(async {
        for (_, dump) in DUMPS {
            let database = restored(dump).await;
            migrations::migrate(database.url()).await.unwrap();
            let store = database.store().await;
            let ann = Operator::new("ann", "cli");

            let events = store.events(&EventFilter::default(), None, 10).await.unwrap();
            let copies: Vec<_> = events.iter().map(|event| (event.event_id.as_str(), event.copies)).collect();
            assert_eq!(copies, [("e-1", 1), ("e-2", 0), ("e-3", 0), ("e-4", 0)]);
            let rejected = store.rejected(0, 10, false).await.unwrap();
            assert_eq!(rejected[0].error.as_deref(), Some("record too large"));
            assert_eq!(store.retry_rejected(rejected[0].id, &ann).await.unwrap(), 2, "the whole key");

            let jobs = store.replays(None, 10).await.unwrap();
            assert_eq!((jobs[0].state, jobs[0].events, jobs[0].published), (ReplayState::Running, 2, 1));
            let (lease, _) = store.lease_replay(LEASE).await.unwrap().expect("the job goes on");
            let renamed = |_: &StoredEvent| unreachable!("its events keep their ids");
            let job = store.replay_step(lease, 10, LEASE, &renamed).await.unwrap();
            assert!(job.is_some_and(|job| job.state == ReplayState::Done && job.published == 2));
        }
    });
}

#[test]
fn inbox_of_every_released_schema_goes_on() {
    block_on(async {
        for (_, dump) in DUMPS {
            let database = restored(dump).await;
            migrations::migrate(database.url()).await.unwrap();
            let store = database.store().await;

            let ids = ["m-done", "m-dead", "m-discarded", "m-new"];
            let requests = ids.map(|id| ClaimRequest {
                id: id.parse().unwrap(),
                topic: "orders.order".into(),
                key: None,
                generation: 0,
            });
            let mut tx = store.begin().await.unwrap();
            let claims = store.claim(&mut tx, "billing", &requests).await.unwrap();
            assert_eq!(claims, [Claim::Done, Claim::Held, Claim::Discarded, Claim::Fresh]);
            store.rollback(tx).await.unwrap();
            let mut next: Vec<_> = store.next_of("billing", "orders.order").await.unwrap();
            next.sort_by_key(|next| next.key_lane);
            assert_eq!(next.iter().map(|next| next.next).collect::<Vec<_>>(), [12, 9]);
            let poison = "m-poison".parse().unwrap();
            assert_eq!(store.begin_attempt("billing", &poison, "billing-c").await.unwrap(), 2);
        }
    });
}

#[test]
fn failed_messages_of_every_released_schema_go_on() {
    block_on(async {
        for (_, dump) in DUMPS {
            let database = restored(dump).await;
            migrations::migrate(database.url()).await.unwrap();
            let store = database.store().await;

            assert_eq!(store.list(&FailedMessageFilter::default(), 10).await.unwrap().len(), 5);
            let dead = store.show(1).await.unwrap();
            assert_eq!(
                (dead.attempts, dead.crash_count, &*dead.received.message.payload),
                (4, 1, &[0xfe, 0][..])
            );
            assert_eq!(dead.received.message.headers.text("id"), Some("m-dead"));
            let leased = store.lease("billing", 10, LEASE).await.unwrap();
            assert_eq!(
                (leased.len(), leased[0].failed_message, leased[0].crash_count, leased[0].token),
                (1, 2, 1, 3)
            );
            assert!(leased[0].parked);
            let back = store.lease_returns(Origin::Queue, 10, LEASE).await.unwrap();
            assert_eq!((back[0].return_to.as_str(), back[0].leased.failed_message), ("printing", 5));
            let acted = store.act(Action::Retry, &[1], &Operator::new("ann", "cli")).await.unwrap();
            assert_eq!(acted, [ActionResult::Done]);
        }
    });
}
