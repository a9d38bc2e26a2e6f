//! The tables' version: who runs a step, what a failure leaves, and what is refused.

use messagekit::{Act, Acted, Actor, DeadLetters, EventFilter, LetterFilter, Origin, Replays, Suspects};
use messagekit::{ErrorKind, chain};
use messagekit_postgres::migrations::{self, MIGRATIONS, Status};
use messagekit_postgres::{PostgresStore, SchemaName};
use messagekit_testkit::{block_on, unique};
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

async fn run(conn: &mut PgConnection, sql: &str) {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect("runs");
}

async fn count(conn: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(conn).await.expect("counts")
}

const OBJECTS: &str = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'messagekit' AND c.relkind = 'r'";

/// A role of its own, which owns nothing.
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
        assert_eq!(before, Status { current: 0, latest, pending: names.clone() });
        assert!(migrations::pending_sql(database.url()).await.unwrap().contains("CREATE TABLE"));
        assert_eq!(
            count(&mut conn, "SELECT count(*) FROM pg_namespace WHERE nspname = 'messagekit'").await,
            0
        );

        assert_eq!(migrations::migrate(database.url()).await.unwrap(), names);
        assert_eq!(migrations::migrate(database.url()).await.unwrap(), Vec::<&str>::new());
        let after = migrations::status(database.url()).await.unwrap();
        assert_eq!(after, Status { current: latest, latest, pending: Vec::new() });
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
        // Whoever has waited for the lock must see what was done meanwhile, whatever the database's default is.
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
        // The owner made the schema and put something in the way of the first step's last table.
        run(&mut conn, "CREATE SCHEMA messagekit; CREATE TABLE messagekit.suspects (a int)").await;
        let error = migrations::migrate(database.url()).await.expect_err("the name is taken");
        assert!(chain(&error).contains("suspects"), "{error:?}");
        assert_eq!(count(&mut conn, OBJECTS).await, 1, "only what was there");
        let locks = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
            WHERE l.locktype = 'advisory' AND d.datname = current_database()";
        assert_eq!(count(&mut conn, locks).await, 0);
        run(&mut conn, "DROP TABLE messagekit.suspects").await;
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
        let mut conn = database.connection().await;
        migrations::migrate(database.url()).await.unwrap();
        run(&mut conn, "DELETE FROM messagekit.schema_migrations WHERE version > 1").await;
        let error = PostgresStore::connect(database.url()).await.expect_err("older tables");
        assert!(error.to_string().contains("older than this program: run `messagekit migrate"), "{error}");
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
fn somebody_elses_tables_in_the_schema_are_refused() {
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
fn a_user_who_may_not_make_the_schema_is_told_and_one_who_owns_it_may_migrate() {
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

/// Programs of the version before may have left all of this.
/// A database with the tables of the second version.
async fn second_version() -> Database {
    let database = Database::empty().await;
    let all = migrations::pending_sql(database.url()).await.unwrap();
    let (before, _) = all.split_once("-- 0003").expect("there is a third step");
    run(&mut database.connection().await, before).await;
    database
}

/// A step that wanted the outbox for itself would stop every service that writes events, for as long as the outbox is large.
#[test]
fn third_step_keeps_nobody_from_writing_events() {
    block_on(async {
        let database = second_version().await;
        let mut writer = database.connection().await;
        let insert = "BEGIN; INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('e-1', 'orders.order', '{}')";
        run(&mut writer, insert).await;
        migrations::migrate(database.url()).await.expect("it waits for nobody who writes an event");
        run(&mut writer, "COMMIT").await;
        assert_eq!(count(&mut writer, "SELECT count(*) FROM messagekit.outbox_events").await, 1);
    });
}

#[test]
fn letters_and_events_of_the_second_version_are_kept() {
    block_on(async {
        let database = second_version().await;
        let mut conn = database.connection().await;
        let rows = "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('e-1', 'orders.order', '{}');
            INSERT INTO messagekit.suspects (consumer, topic, partition, message_id, \"offset\", generation, kills)
              VALUES ('billing', 'orders.order', 0, 'm-2', 7, 0, 1), ('billing', 'orders.order', 1, 'm-3', 8, 0, 0);
            INSERT INTO messagekit.processed_messages (consumer, message_id, outcome) VALUES ('billing', 'm-1', 'held');
            INSERT INTO messagekit.dead_letters (consumer, message_id, topic, state, attempts, headers, payload, kind, error, fingerprint)
              VALUES ('billing', 'm-1', 'orders.order', 'dead', 3, '[]', '{}', 'failed', 'no stock', '0')";
        sqlx::raw_sql(rows).execute(&mut conn).await.unwrap();
        let done = migrations::migrate(database.url()).await.unwrap();
        assert_eq!(done, MIGRATIONS[2..].iter().map(|step| step.name).collect::<Vec<_>>());

        let store = database.store().await;
        let letters = store.list(&LetterFilter::default(), 10).await.unwrap();
        assert_eq!((letters.len(), letters[0].attempts, letters[0].origin), (1, 3, Origin::Store));
        assert_eq!(letters[0].return_to, None);
        let acted = store.act(Act::Retry, &[letters[0].id], &Actor::new("ann", "cli")).await.unwrap();
        assert_eq!(acted, [Acted::Done]);
        let events = store.events(&EventFilter::default(), None, 10).await.unwrap();
        assert_eq!((events.len(), events[0].copies), (1, 0));
        let noted = "m-2".parse().unwrap();
        assert_eq!(
            store.suspect("billing", &noted, "now").await.unwrap(),
            2,
            "a note that was never answered"
        );
    });
}
