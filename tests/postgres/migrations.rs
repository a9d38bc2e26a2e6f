//! The tables' version: which process runs a step, the state after a failure, and refused versions.

use messagekit::operations::OutboxHealth;
use messagekit::{ErrorKind, Outbox, chain};
use messagekit_postgres::migrations::{self, MIGRATIONS, Migration, Status};
use messagekit_postgres::{PostgresStore, SchemaName};
use messagekit_testkit::{block_on, unique};
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::shop::OrderPlaced;

async fn run(conn: &mut PgConnection, sql: &str) {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect("runs");
}

async fn count(conn: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(conn).await.expect("counts")
}

const OBJECTS: &str = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'messagekit' AND c.relkind = 'r'";

/// Creates a role that owns nothing.
async fn role(conn: &mut PgConnection) -> String {
    let role = unique("nobody").replace(['.', '-'], "_");
    run(conn, &format!("CREATE ROLE {role} LOGIN PASSWORD 'nobody'")).await;
    role
}

fn url_as(database: &Database, role: &str) -> String {
    let (_, place) = database.url().rsplit_once('@').expect("the URL names a user");
    format!("postgres://{role}:nobody@{place}")
}

#[test]
fn looking_changes_nothing_and_twice_is_once() {
    block_on(async {
        let database = Database::empty().await;
        let mut conn = database.connection().await;
        let names: Vec<&str> = MIGRATIONS.iter().map(|step| step.name).collect();
        let latest = MIGRATIONS.last().unwrap().version;
        let before = migrations::status(database.url()).await.unwrap();
        assert_eq!(before, Status { current: 0, lowest_program: 0, latest, pending: names.clone() });
        assert!(migrations::pending_sql(database.url()).await.unwrap().contains("CREATE TABLE"));
        assert_eq!(
            count(&mut conn, "SELECT count(*) FROM pg_namespace WHERE nspname = 'messagekit'").await,
            0
        );

        assert_eq!(migrations::migrate(database.url()).await.unwrap(), names);
        assert_eq!(migrations::migrate(database.url()).await.unwrap(), Vec::<&str>::new());
        let after = migrations::status(database.url()).await.unwrap();
        assert_eq!(after, Status { current: latest, lowest_program: latest, latest, pending: Vec::new() });
        assert_eq!(migrations::pending_sql(database.url()).await.unwrap(), "");
    });
}

#[test]
fn the_statements_that_are_shown_do_the_same() {
    block_on(async {
        let (shown, done) = (Database::empty().await, Database::fresh().await);
        let sql = migrations::pending_sql(shown.url()).await.unwrap();
        run(&mut shown.connection().await, &sql).await;
        assert_eq!(
            migrations::status(shown.url()).await.unwrap(),
            migrations::status(done.url()).await.unwrap()
        );
        let objects = "SELECT string_agg(relname || relkind::text, ',' ORDER BY relname) FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'messagekit'";
        let mut found = Vec::new();
        for database in [&shown, &done] {
            let objects: String =
                sqlx::query_scalar(objects).fetch_one(&mut database.connection().await).await.unwrap();
            found.push(objects);
        }
        assert_eq!(found[0], found[1]);
        shown.store().await.close().await;
    });
}

#[test]
fn processes_that_migrate_at_once_run_each_step_once() {
    block_on(async {
        let database = Database::empty().await;
        // A process that has waited for the lock must see the latest changes, whatever the database's default isolation level is.
        let level = format!(
            "ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'",
            database.name()
        );
        run(&mut database.connection().await, &level).await;
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let url = database.url().to_owned();
                tokio::spawn(async move { migrations::migrate(&url).await })
            })
            .collect();
        let mut done = Vec::new();
        for task in tasks {
            done.extend(task.await.unwrap().expect("migrates or finds it done"));
        }
        done.sort_unstable();
        let mut names: Vec<&str> = MIGRATIONS.iter().map(|step| step.name).collect();
        names.sort_unstable();
        assert_eq!(done, names);
    });
}

#[test]
fn a_step_that_fails_leaves_nothing_and_holds_no_lock() {
    block_on(async {
        let database = Database::empty().await;
        let mut conn = database.connection().await;
        // It conflicts with the last table of the step.
        run(&mut conn, "CREATE SCHEMA messagekit; CREATE TABLE messagekit.admin_audit (a int)").await;
        let error = migrations::migrate(database.url()).await.expect_err("the name is taken");
        assert!(chain(&error).contains("admin_audit"), "{error:?}");
        assert_eq!(count(&mut conn, OBJECTS).await, 1, "only what was there");
        let locks = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
            WHERE l.locktype = 'advisory' AND d.datname = current_database()";
        assert_eq!(count(&mut conn, locks).await, 0);
        run(&mut conn, "DROP TABLE messagekit.admin_audit").await;
        assert_eq!(migrations::migrate(database.url()).await.unwrap().len(), MIGRATIONS.len());
    });
}

#[test]
fn a_database_that_is_not_migrated_is_refused_with_the_command() {
    block_on(async {
        let database = Database::empty().await;
        let error = PostgresStore::connect(database.url()).await.expect_err("no tables");
        assert_eq!(error.kind(), ErrorKind::Schema);
        assert!(error.to_string().contains("run `messagekit migrate --database"), "{error}");
    });
}

#[test]
fn tables_of_a_newer_program_are_refused_and_left_alone() {
    block_on(async {
        let database = Database::fresh().await;
        let mut conn = database.connection().await;
        run(&mut conn, "INSERT INTO messagekit.schema_migrations (version, name) VALUES (99, 'later')").await;
        let url = database.url();
        for error in [
            migrations::migrate(url).await.expect_err("newer"),
            migrations::status(url).await.expect_err("newer"),
            PostgresStore::connect(url).await.expect_err("newer"),
        ] {
            assert_eq!(error.kind(), ErrorKind::Schema);
            assert!(error.to_string().contains("newer than this program: upgrade"), "{error}");
        }
    });
}

#[test]
fn foreign_tables_in_the_schema_are_refused() {
    block_on(async {
        let database = Database::empty().await;
        let mut conn = database.connection().await;
        run(&mut conn, "CREATE SCHEMA messagekit; CREATE TABLE messagekit.outbox_events (a int)").await;
        let error = migrations::migrate(database.url()).await.expect_err("not ours");
        assert_eq!(error.kind(), ErrorKind::Schema);
        assert!(error.to_string().contains("rename the schema"), "{error}");
    });
}

#[test]
fn a_schema_of_another_name_holds_the_same() {
    block_on(async {
        let database = Database::fresh().await;
        let schema: SchemaName = "events".parse().unwrap();
        migrations::migrate_in(database.url(), &schema).await.unwrap();
        assert_eq!(migrations::status_in(database.url(), &schema).await.unwrap().pending, Vec::<&str>::new());
        let mut conn = database.connection().await;
        run(&mut conn, "SELECT events.publish('a.b', 'k', 'a.b', '{}')").await;
        assert_eq!(count(&mut conn, "SELECT count(*) FROM events.outbox_events").await, 1);
        assert_eq!(count(&mut conn, "SELECT count(*) FROM messagekit.outbox_events").await, 0);
        let strays = "WITH ours AS MATERIALIZED (
            SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'events')
            SELECT count(*) FROM ours WHERE pg_get_functiondef(oid) LIKE '%messagekit.%'";
        assert_eq!(count(&mut conn, strays).await, 0);
    });
}

#[test]
fn migration_needs_the_right_to_create_or_own_the_schema() {
    block_on(async {
        let database = Database::empty().await;
        let mut conn = database.connection().await;
        let role = role(&mut conn).await;
        let url = url_as(&database, &role);
        let error = migrations::migrate(&url).await.expect_err("no right");
        assert!(chain(&error).contains("may not create the schema messagekit"), "{error:?}");
        assert_eq!(count(&mut conn, OBJECTS).await, 0);

        run(&mut conn, &format!("CREATE SCHEMA messagekit AUTHORIZATION {role}")).await;
        assert_eq!(migrations::migrate(&url).await.unwrap().len(), MIGRATIONS.len());

        let other = self::role(&mut conn).await;
        let error = migrations::status(&url_as(&database, &other)).await.expect_err("no right");
        assert!(error.to_string().contains("may not use the schema messagekit"), "{error}");
        run(&mut conn, &format!("DROP ROLE {other}; REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")).await;
    });
}

/// This program, by its newest step.
fn this_program() -> u32 {
    MIGRATIONS.last().unwrap().version
}

/// Returns the steps of a later version: those of this one, an invented one that adds, and one that lower programs cannot use.
fn later_steps(second: &'static str) -> Vec<Migration> {
    let next = this_program() + 1;
    let first = "ALTER TABLE messagekit.outbox_failures ADD COLUMN seen_by text";
    let mut steps = MIGRATIONS.to_vec();
    steps.push(Migration { version: next, name: "seen_by", lowest_program: next - 1, sql: first });
    steps.push(Migration { version: next + 1, name: "second", lowest_program: next + 1, sql: second });
    steps
}

#[test]
fn failing_later_step_keeps_the_steps_before_it() {
    block_on(async {
        let database = Database::fresh().await;
        let (url, schema) = (database.url(), SchemaName::default());
        let broken = later_steps("CREATE TABLE messagekit.made (a int); SELECT 1 / 0");
        let error = migrations::migrate_by(url, &schema, &broken).await.expect_err("it divides by zero");
        assert!(chain(&error).contains(&format!("version {}", broken.last().unwrap().version)), "{error:?}");
        let mut conn = database.connection().await;
        assert_eq!(count(&mut conn, "SELECT count(seen_by) FROM messagekit.outbox_failures").await, 0);
        let made = "SELECT count(*) FROM pg_class WHERE relname = 'made'";
        assert_eq!(count(&mut conn, made).await, 0, "the step that failed leaves nothing");

        let mended = later_steps("CREATE TABLE messagekit.made (a int)");
        assert_eq!(migrations::migrate_by(url, &schema, &mended).await.unwrap(), ["second"]);
        assert_eq!(migrations::migrate_by(url, &schema, &mended).await.unwrap(), Vec::<&str>::new());
        let error = PostgresStore::connect(url).await.expect_err("its tables are newer");
        assert!(error.to_string().contains("newer than this program: upgrade"), "{error}");
    });
}

#[test]
fn a_program_lives_with_newer_tables_until_a_step_excludes_it() {
    block_on(async {
        let database = Database::fresh().await;
        let (url, schema) = (database.url(), SchemaName::default());
        let running = database.store().await;
        let steps = later_steps("SELECT 1");
        let (added, all) = (&steps[..steps.len() - 1], &steps[..]);

        assert_eq!(migrations::migrate_by(url, &schema, added).await.unwrap(), ["seen_by"]);
        running.ping().await.expect("it goes on");
        let restarted = PostgresStore::connect(url).await.expect("it is deployed, restarted or rolled back");
        let outbox = Outbox::new(restarted.clone(), "shop").unwrap();
        outbox.transaction(async |tx| Ok(outbox.add(tx, OrderPlaced::new("o-1")).await?)).await.unwrap();
        let status = migrations::status(url).await.unwrap();
        let expected = Status {
            current: this_program() + 1,
            lowest_program: this_program(),
            latest: this_program(),
            pending: Vec::new(),
        };
        assert_eq!(status, expected);
        assert_eq!(migrations::migrate(url).await.unwrap(), Vec::<&str>::new());
        assert_eq!(migrations::pending_sql(url).await.unwrap(), "");

        migrations::migrate_by(url, &schema, all).await.unwrap();
        for error in [
            messagekit::Error::from(PostgresStore::connect(url).await.expect_err("too new")),
            migrations::migrate(url).await.expect_err("too new").into(),
            running.ping().await.expect_err("too new"),
        ] {
            assert_eq!(error.kind(), ErrorKind::Schema);
            assert!(error.to_string().contains("newer than this program: upgrade"), "{error}");
            assert_eq!(error.context("lowest_program"), Some(&*(this_program() + 2).to_string()));
        }
    });
}

/// Rows that were written by hand, or before the column, state nothing.
#[test]
fn a_step_without_a_lowest_program_excludes_every_lower_one() {
    block_on(async {
        let database = Database::fresh().await;
        let mut conn = database.connection().await;
        run(&mut conn, "ALTER TABLE messagekit.schema_migrations DROP COLUMN lowest_program").await;
        let status = migrations::status(database.url()).await.unwrap();
        assert_eq!((status.current, status.lowest_program), (this_program(), this_program()));
        PostgresStore::connect(database.url()).await.expect("its own version");
        let next =
            format!("INSERT INTO messagekit.schema_migrations VALUES ({}, 'next')", this_program() + 1);
        run(&mut conn, &next).await;
        let error = PostgresStore::connect(database.url()).await.expect_err("nothing is stated");
        assert!(error.to_string().contains("newer than this program: upgrade"), "{error}");
    });
}
