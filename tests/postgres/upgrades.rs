//! This program upgrades databases of every released schema.

use messagekit_postgres::PostgresStore;
use messagekit_postgres::migrations::{self, MIGRATIONS};
use messagekit_testkit::{block_on, upgraded};
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

/// A dump of each released schema with its version. They are never edited: a new schema adds its own.
/// `pg_dump --schema=messagekit --column-inserts --no-owner`, after rows were inserted into each new table.
pub(crate) const DUMPS: &[(u32, &str)] = &[
    (1, include_str!("upgrades/0001.sql")),
    (2, include_str!("upgrades/0002.sql")),
    (3, include_str!("upgrades/0003.sql")),
    (4, include_str!("upgrades/0004.sql")),
    (5, include_str!("upgrades/0005.sql")),
    (6, include_str!("upgrades/0006.sql")),
    (7, include_str!("upgrades/0007.sql")),
    (8, include_str!("upgrades/0008.sql")),
    (9, include_str!("upgrades/0009.sql")),
    (10, include_str!("upgrades/0010.sql")),
    (11, concat!(include_str!("upgrades/0010.sql"), include_str!("upgrades/0011.sql"))),
];

pub(crate) async fn restored(dump: &'static str) -> Database {
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

/// Returns the definitions of the tables, without the order of columns, the triggers of the relay and of topics, and the parentheses
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
        UNION ALL SELECT concat_ws(' ', viewname, definition) FROM pg_views WHERE schemaname = 'messagekit'
        UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid
          WHERE c.relnamespace = 'messagekit'::regnamespace
        UNION ALL SELECT concat_ws(' ', translate(pg_get_functiondef(oid), '()', ''), has_function_privilege('public', oid, 'EXECUTE')) FROM pg_proc
          WHERE pronamespace = 'messagekit'::regnamespace
        UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger
          WHERE tgrelid IN ('messagekit.outbox_events'::regclass, 'messagekit.outbox_links'::regclass)
            AND tgname NOT IN ('outbox_is_pending', 'outbox_to_topics')
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

/// Returns a store on a database of every released schema, upgraded.
async fn stores() -> Vec<PostgresStore> {
    let mut stores = Vec::new();
    for (_, dump) in DUMPS {
        let database = restored(dump).await;
        migrations::migrate(database.url()).await.unwrap();
        stores.push(database.store().await);
    }
    stores
}

#[test]
fn outbox_of_every_released_schema_goes_on() {
    block_on(async {
        for store in stores().await {
            upgraded::outbox_goes_on(&store, &[("e-1", 1), ("e-2", 0), ("e-3", 0), ("e-4", 0)]).await;
        }
    });
}

#[test]
fn inbox_of_every_released_schema_goes_on() {
    block_on(async {
        for store in stores().await {
            upgraded::inbox_goes_on(&store, "orders.order").await;
        }
    });
}

#[test]
fn failed_messages_of_every_released_schema_go_on() {
    block_on(async {
        for store in stores().await {
            upgraded::failed_messages_go_on(&store).await;
        }
    });
}
