//! Databases of other versions: an earlier one is refused, and rows outlive a later step.

use messagekit::ErrorKind;
use messagekit::operations::{Doctor, OutboxHealth};
use messagekit_postgres::migrations::{self, MIGRATIONS, Migration};
use messagekit_postgres::{PostgresStore, SchemaName};
use messagekit_testkit::{block_on, upgraded};
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

const ROWS: &str = include_str!("upgrades/rows.sql");
const BEFORE_FIRST: &str = include_str!("upgrades/0011.sql");

/// A database of this version with rows in every table.
pub(crate) async fn filled() -> Database {
    let database = Database::fresh().await;
    run(&mut database.connection().await, ROWS).await;
    database
}

/// This version's steps, and one that a later version adds.
pub(crate) fn later_steps() -> Vec<Migration> {
    let version = MIGRATIONS.last().unwrap().version + 1;
    let sql = "ALTER TABLE messagekit.outbox_events ADD COLUMN tenant text;
      ALTER TABLE messagekit.failed_messages ADD COLUMN tenant text;
      CREATE TABLE messagekit.tenants (name text PRIMARY KEY)";
    let later = Migration { version, name: "tenants", lowest_program: version - 1, sql };
    [MIGRATIONS, &[later]].concat()
}

/// A database with rows in every table that a later version has migrated.
pub(crate) async fn migrated() -> Database {
    let database = filled().await;
    migrate_later(&database).await;
    database
}

async fn migrate_later(database: &Database) {
    let done = migrations::migrate_by(database.url(), &SchemaName::default(), &later_steps()).await;
    assert_eq!(done.expect("it waits for no writer"), ["tenants"]);
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

#[test]
fn a_database_from_before_the_first_step_is_never_used() {
    block_on(async {
        let database = filled().await;
        let mut conn = database.connection().await;
        run(&mut conn, BEFORE_FIRST).await;
        let (url, schema, before) = (database.url(), SchemaName::default(), rows(&mut conn).await);
        for error in [
            PostgresStore::connect(url).await.map(drop).expect_err("no step begins there"),
            migrations::status(url).await.map(drop).expect_err("it is not usable"),
            migrations::pending_sql(url).await.map(drop).expect_err("there is none"),
            migrations::migrate(url).await.map(drop).expect_err("no step begins there"),
            migrations::migrate_by(url, &schema, &later_steps())
                .await
                .map(drop)
                .expect_err("nor a later one"),
        ] {
            assert_eq!(error.kind(), ErrorKind::Schema);
            assert!(error.to_string().contains("cannot be upgraded: use a new database"), "{error}");
        }
        let refused = PostgresStore::lazy(url).unwrap().ping().await.expect_err("it is not usable");
        assert_eq!(refused.kind(), ErrorKind::Schema);
        let diagnosis = PostgresStore::lazy(url).unwrap().diagnose().await;
        let found = diagnosis.findings.iter().find(|found| found.check.name == "schema-pending").unwrap();
        assert_eq!(found.repair[0].kind(), "manual", "{found:?}");
        assert_eq!(rows(&mut conn).await, before);
    });
}

/// A step that waits for writers would stop each service that writes events.
#[test]
fn rows_outlive_a_step_that_runs_beside_an_open_writer() {
    block_on(async {
        let database = filled().await;
        let mut conn = database.connection().await;
        let before = rows(&mut conn).await;
        for (table, count) in &before {
            assert!(*count > 0, "upgrades/rows.sql has no row of {table}");
        }
        let sql = "ALTER TABLE messagekit.failed_messages ADD COLUMN tenant text NOT NULL DEFAULT 'none';
          CREATE INDEX failed_messages_tenant ON messagekit.failed_messages (tenant, id)";
        let step = Migration { sql, ..later_steps()[1] };
        let steps = [MIGRATIONS, &[step]].concat();
        let mut writer = database.connection().await;
        run(
            &mut writer,
            "BEGIN; SELECT messagekit.publish('orders.order', 'o-1', 'orders.order.placed', '{}')",
        )
        .await;
        migrations::migrate_by(database.url(), &SchemaName::default(), &steps)
            .await
            .expect("it waits for no writer");
        run(&mut writer, "ROLLBACK").await;
        let after = rows(&mut conn).await;
        for row in before {
            assert!(after.contains(&row), "{row:?} became {after:?}");
        }
    });
}

#[test]
fn this_program_continues_on_the_tables_of_a_later_one() {
    block_on(async {
        let store = migrated().await.store().await;
        upgraded::outbox_goes_on(&store, &[("e-1", 1), ("e-2", 0), ("e-3", 0), ("e-4", 0)]).await;
        let store = migrated().await.store().await;
        upgraded::inbox_goes_on(&store, "orders.order").await;
        let store = migrated().await.store().await;
        upgraded::failed_messages_go_on(&store).await;
    });
}
