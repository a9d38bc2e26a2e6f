//! Change data capture: the created objects, their rights, and the problems that checks find.

use messagekit::ErrorKind;
use messagekit_postgres::cdc::{self, Capture, Finding, Subject};
use messagekit_postgres::{SchemaName, migrations};
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use messagekit_tests::Server;

/// The role belongs to the whole server: tests that share one create it with the password of the worker.
fn password() -> String {
    std::env::var(cdc::PASSWORD_VARIABLE).unwrap_or_else(|_| "messagekit-cdc".to_owned())
}

async fn run(conn: &mut PgConnection, sql: impl Into<String>) {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.into()))).await.expect("runs");
}

async fn set_up(url: &str) -> Vec<String> {
    cdc::set_up(url, &SchemaName::default(), Some(&password())).await.expect("sets up")
}

/// Returns the findings, except that no worker reads the slot in these tests.
async fn findings(url: &str) -> Vec<Finding> {
    let found = cdc::findings(url, &SchemaName::default()).await.expect("looks");
    found.into_iter().filter(|found| found.subject != Subject::Reader).collect()
}

/// A captured database. Its slot is dropped at the end, because the server would keep WAL for it.
struct Captured {
    database: Database,
    capture: Capture,
}

impl Captured {
    async fn fresh() -> Self {
        let database = Database::fresh().await;
        let capture = Capture::of(database.url(), &SchemaName::default()).unwrap();
        set_up(database.url()).await;
        Self { database, capture }
    }

    async fn end(self) {
        cdc::drop_slot(self.database.url(), &SchemaName::default()).await.expect("drops");
    }
}

#[test]
fn twice_is_once_and_only_a_reader_is_missing() {
    block_on(async {
        let captured = Captured::fresh().await;
        let url = captured.database.url();
        assert_eq!(set_up(url).await, Vec::<String>::new());
        assert_eq!(cdc::set_up_sql(url, &SchemaName::default()).await.unwrap(), "");
        let found = cdc::findings(url, &SchemaName::default()).await.unwrap();
        assert_eq!(
            found.iter().map(|found| found.subject).collect::<Vec<_>>(),
            [Subject::Reader],
            "{found:?}"
        );

        let mut conn = captured.database.connection().await;
        let published: (String, String) = sqlx::query_as(
            "SELECT p.pubname::text, string_agg(t.schemaname || '.' || t.tablename, ',') FROM pg_publication p
             JOIN pg_publication_tables t ON t.pubname = p.pubname
             WHERE pubinsert AND NOT pubupdate AND NOT pubdelete AND NOT pubtruncate AND pubviaroot GROUP BY 1",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        assert_eq!(published, ("messagekit_outbox".to_owned(), "messagekit.outbox_events".to_owned()));

        let dropped = cdc::drop_slot(url, &SchemaName::default()).await.unwrap();
        assert_eq!(
            dropped,
            [format!("slot {}", captured.capture.slot), "publication messagekit_outbox".to_owned()]
        );
        assert_eq!(cdc::drop_slot(url, &SchemaName::default()).await.unwrap(), Vec::<String>::new());
    });
}

#[test]
fn processes_that_set_up_at_once_all_succeed() {
    block_on(async {
        let database = Database::fresh().await;
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let url = database.url().to_owned();
                tokio::spawn(async move { set_up(&url).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("sets up or finds it done");
        }
        assert_eq!(findings(database.url()).await, []);
        cdc::drop_slot(database.url(), &SchemaName::default()).await.unwrap();
    });
}

#[test]
fn whatever_is_changed_is_found_and_made_good_again() {
    block_on(async {
        let captured = Captured::fresh().await;
        let (url, slot) = (captured.database.url(), &captured.capture.slot);
        let mut conn = captured.database.connection().await;
        run(&mut conn, "CREATE TABLE public.other (id int PRIMARY KEY)").await;
        let database = captured.database.name();
        for (sql, subject, what) in [
            (
                "ALTER PUBLICATION messagekit_outbox DROP TABLE messagekit.outbox_events",
                Subject::Publication,
                "no event leaves",
            ),
            (
                "ALTER PUBLICATION messagekit_outbox SET TABLE public.other",
                Subject::Publication,
                "no event leaves",
            ),
            (
                "ALTER PUBLICATION messagekit_outbox ADD TABLE public.other",
                Subject::Publication,
                "other tables too",
            ),
            (
                "ALTER PUBLICATION messagekit_outbox SET TABLE messagekit.outbox_events WHERE (topic = 'a')",
                Subject::Publication,
                "leaves out rows",
            ),
            (
                "ALTER PUBLICATION messagekit_outbox SET (publish = 'insert, delete')",
                Subject::Publication,
                "more than inserts",
            ),
            (
                "ALTER PUBLICATION messagekit_outbox SET (publish = 'update')",
                Subject::Publication,
                "no inserts",
            ),
            (
                "ALTER PUBLICATION messagekit_outbox SET (publish_via_partition_root = false)",
                Subject::Publication,
                "partitions",
            ),
            (
                &format!("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC, messagekit_cdc"),
                Subject::Role,
                "no CONNECT right",
            ),
            (&format!("SELECT pg_drop_replication_slot('{slot}')"), Subject::Slot, "is missing"),
        ] {
            run(&mut conn, sql).await;
            let found = findings(url).await;
            assert_eq!(found.len(), 1, "{sql}: {found:?}");
            assert_eq!(found[0].subject, subject, "{sql}");
            assert!(found[0].what.contains(what) && !found[0].fix.is_empty(), "{sql}: {found:?}");
            assert!(!cdc::set_up_sql(url, &SchemaName::default()).await.unwrap().is_empty(), "{sql}");
            assert!(!set_up(url).await.is_empty(), "{sql}");
            assert_eq!(findings(url).await, [], "{sql}");
        }
        captured.end().await;
    });
}

#[test]
fn a_slot_older_than_its_publication_is_refused_until_recreated() {
    block_on(async {
        let captured = Captured::fresh().await;
        let (url, schema) = (captured.database.url(), SchemaName::default());
        let mut conn = captured.database.connection().await;
        run(&mut conn, "DROP PUBLICATION messagekit_outbox").await;
        let found = findings(url).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].subject, Subject::Publication);
        let refused = [
            cdc::set_up(url, &schema, Some(&password())).await.expect_err("refused"),
            cdc::may_set_up(url, &schema, Some(&password())).await.expect_err("refused"),
            cdc::set_up_sql(url, &schema).await.expect_err("refused"),
        ];
        for error in refused {
            assert_eq!(error.kind(), ErrorKind::WrongState);
            assert!(error.to_string().contains("connector delete --slot"), "{error}");
            assert!(error.to_string().contains("publish again"), "{error}");
        }
        let published = "SELECT count(*) FROM pg_publication";
        let published: i64 = sqlx::query_scalar(published).fetch_one(&mut conn).await.unwrap();
        assert_eq!(published, 0, "nothing was made");

        cdc::drop_slot(url, &schema).await.unwrap();
        assert_eq!(set_up(url).await.len(), 2);
        assert_eq!(findings(url).await, []);
        captured.end().await;
    });
}

#[test]
fn cdc_setup_refuses_foreign_objects_and_leaves_them_alone() {
    block_on(async {
        let database = Database::fresh().await;
        let mut conn = database.connection().await;
        run(&mut conn, "CREATE PUBLICATION messagekit_outbox FOR ALL TABLES").await;
        let error = cdc::set_up(database.url(), &SchemaName::default(), None).await.expect_err("all tables");
        assert_eq!(error.kind(), ErrorKind::WrongState);
        assert!(error.to_string().contains("run DROP PUBLICATION messagekit_outbox"), "{error}");
        run(&mut conn, "DROP PUBLICATION messagekit_outbox").await;

        // A slot's name belongs to the whole server: here it reads another database.
        let slot = Capture::of(database.url(), &SchemaName::default()).unwrap().slot;
        let other = Database::empty().await;
        let make = format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')");
        run(&mut other.connection().await, make).await;
        let error = cdc::set_up(database.url(), &SchemaName::default(), None).await.expect_err("not ours");
        assert!(error.to_string().contains("is not a logical slot of pgoutput for the database"), "{error}");
        assert_eq!(
            cdc::drop_slot(database.url(), &SchemaName::default()).await.unwrap(),
            Vec::<String>::new()
        );
        run(&mut other.connection().await, format!("SELECT pg_drop_replication_slot('{slot}')")).await;

        let empty = Database::empty().await;
        let error = cdc::set_up(empty.url(), &SchemaName::default(), None).await.expect_err("no tables");
        assert_eq!(error.kind(), ErrorKind::Schema);
        assert!(error.to_string().contains("messagekit migrate"), "{error}");
    });
}

#[test]
fn the_role_streams_the_outbox_and_can_do_nothing_else() {
    block_on(async {
        let server = Server::start(&["wal_level=logical"]).await;
        let url = server.url("shop");
        migrations::migrate(&url).await.unwrap();
        let none = cdc::set_up(&url, &SchemaName::default(), None).await.expect_err("no password");
        assert!(none.to_string().contains("set MESSAGEKIT_CDC_PASSWORD"), "{none}");
        let password = "it's a \\ \"secret\"";
        let made = cdc::set_up(&url, &SchemaName::default(), Some(password)).await.unwrap();
        assert_eq!(
            made,
            [
                "publication messagekit_outbox",
                "role messagekit_cdc",
                "right of messagekit_cdc to connect",
                "slot messagekit_shop"
            ]
        );
        let mut admin = PgConnection::connect(&url).await.unwrap();
        run(&mut admin, "REVOKE CONNECT ON DATABASE shop FROM PUBLIC").await;
        run(&mut admin, "SELECT messagekit.publish('a.b', 'k', 'a.b', '{}')").await;

        let login = "messagekit_cdc:it%27s%20a%20%5C%20%22secret%22";
        let mut role = PgConnection::connect(&server.url_of(login, "shop")).await.expect("may connect");
        let streamed = "SELECT count(*) FROM pg_logical_slot_peek_binary_changes('messagekit_shop', NULL, NULL,
            'proto_version', '1', 'publication_names', 'messagekit_outbox') WHERE get_byte(data, 0) = ascii('I')";
        let inserts: i64 = sqlx::query_scalar(streamed).fetch_one(&mut role).await.expect("may stream");
        assert_eq!(inserts, 1);
        run(&mut role, "SELECT pg_logical_emit_message(false, 'messagekit-heartbeat', '')").await;
        for refused in [
            "SELECT FROM messagekit.outbox_events",
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('x', 't', '')",
            "SELECT messagekit.publish('a.b', 'k', 'a.b', '{}')",
            "CREATE TABLE public.mine (a int)",
            "CREATE ROLE other",
            "DROP PUBLICATION messagekit_outbox",
        ] {
            let error = role.execute(refused).await.expect_err(refused);
            assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{refused}");
        }

        // Objects that the superuser removes are found missing, and created again.
        for (sql, what) in [
            ("ALTER ROLE messagekit_cdc NOLOGIN", "no LOGIN right"),
            ("ALTER ROLE messagekit_cdc NOREPLICATION", "no REPLICATION right"),
        ] {
            run(&mut admin, sql).await;
            let found = findings(&url).await;
            assert!(found.len() == 1 && found[0].what.contains(what), "{found:?}");
            assert_eq!(set_up(&url).await.len(), 1);
        }
        run(&mut admin, "ALTER ROLE messagekit_cdc VALID UNTIL '2020-01-01'").await;
        let found = findings(&url).await;
        assert!(found.len() == 1 && found[0].what.contains("expired"), "{found:?}");
    });
}

#[test]
fn setup_without_rights_only_names_what_an_admin_must_run() {
    block_on(async {
        let server = Server::start(&["wal_level=logical"]).await;
        let mut admin = PgConnection::connect(&server.url("shop")).await.unwrap();
        run(&mut admin, "CREATE ROLE owner LOGIN PASSWORD 'owner'; ALTER DATABASE shop OWNER TO owner").await;
        let url = server.url_of("owner:owner", "shop");
        migrations::migrate(&url).await.unwrap();
        let error = cdc::set_up(&url, &SchemaName::default(), Some("s3cret")).await.expect_err("no rights");
        let text = error.to_string();
        assert!(!text.contains("s3cret") && !text.contains('\n'), "{text}");
        assert!(
            text.contains("user \"owner\" may not make: role messagekit_cdc, slot messagekit_shop"),
            "{text}"
        );
        let left: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_replication_slots)",
        )
        .fetch_one(&mut admin)
        .await
        .unwrap();
        assert_eq!(left, 0, "nothing was made");

        let (_, sql) = text.split_once("runs in this database: ").expect("the statements");
        for statement in sql.split("; ") {
            run(&mut admin, statement.replace("'…'", "'s3cret'")).await;
        }
        assert_eq!(set_up(&url).await, Vec::<String>::new(), "the owner finds it done");
        assert_eq!(findings(&url).await, []);
    });
}

#[test]
fn too_low_wal_level_is_refused_with_the_cure() {
    block_on(async {
        let server = Server::start(&["wal_level=replica"]).await;
        let url = server.url("shop");
        migrations::migrate(&url).await.unwrap();
        let error = cdc::set_up(&url, &SchemaName::default(), Some("s3cret")).await.expect_err("replica");
        assert_eq!(error.kind(), ErrorKind::WrongState);
        let text = error.to_string();
        assert!(text.contains("wal_level is replica") && text.contains("then restart PostgreSQL"), "{text}");
        let found = findings(&url).await;
        assert_eq!(found[0].subject, Subject::WalLevel);
        assert!(found.iter().any(|found| found.subject == Subject::Role), "nothing was made: {found:?}");
    });
}
