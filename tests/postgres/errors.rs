//! Bad input: typed errors in one line, with the cure, without a secret.

use std::time::Instant;

use messagekit::{Error, ErrorKind};
use messagekit_postgres::{PostgresStore, SchemaName};
use messagekit_testkit::{DEADLINE, block_on};
use messagekit_tests::{Database, Port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SECRET: &str = "hunter2-hunter2";

async fn refused(url: &str) -> Error {
    let started = Instant::now();
    let error = PostgresStore::connect(url).await.expect_err(url);
    assert!(started.elapsed() < DEADLINE, "it took {:?}", started.elapsed());
    Error::from(error)
}

/// Expects this kind, these words, and no secret.
fn assert_says(error: &Error, kind: ErrorKind, said: &str) {
    let text = messagekit::chain(error);
    assert_eq!(error.kind(), kind, "{text}");
    assert!(text.contains(said), "{text:?} does not say {said:?}");
    assert!(!text.contains('\n'), "{text:?} is more than a line");
    let shown = format!("{text} {error:?} {error:#?}");
    assert!(!shown.contains(SECRET), "{shown}");
}

/// Returns the URL of the test server with other credentials or another address.
fn url(user: &str, place: Option<&str>, database: &str) -> String {
    let server = messagekit_tests::services::postgres_url();
    let (_, rest) = server.rsplit_once('@').expect("the URL names a user");
    let (known, _) = rest.split_once('/').expect("the URL names a database");
    format!("postgres://{user}@{}/{database}", place.unwrap_or(known))
}

#[test]
fn url_that_is_none_is_refused_without_repeating_it() {
    block_on(async {
        for wrong in [
            String::new(),
            "shop".to_owned(),
            format!("mysql://app:{SECRET}@localhost/shop"),
            format!("postgres://app:{SECRET}@localhost:port/shop"),
            format!("postgres://app:{SECRET}@localhost/shop?sslmode=sometimes"),
        ] {
            let error = refused(&wrong).await;
            assert_says(
                &error,
                ErrorKind::InvalidConfiguration,
                "postgres://user:password@host:port/database",
            );
        }
    });
}

#[test]
fn parameter_that_is_not_known_is_refused_without_its_value() {
    block_on(async {
        let error = refused(&format!("postgres://app@localhost/shop?sslmode=prefer&passwd={SECRET}")).await;
        assert_says(&error, ErrorKind::InvalidConfiguration, "\"passwd\"");
    });
}

#[test]
fn wrong_password_names_the_user_and_no_password() {
    block_on(async {
        let database = Database::empty().await;
        let name = messagekit_testkit::unique("role").replace(['.', '-'], "_");
        let make = sqlx::AssertSqlSafe(format!("CREATE ROLE {name} LOGIN PASSWORD 'right'"));
        sqlx::raw_sql(make).execute(&mut database.connection().await).await.unwrap();
        let error = refused(&url(&format!("{name}:{SECRET}"), None, database.name())).await;
        assert_says(&error, ErrorKind::InvalidConfiguration, &format!("does not let user {name:?} in"));
    });
}

#[test]
fn missing_database_is_named() {
    block_on(async {
        let url = messagekit_tests::services::postgres_url();
        let (server, _) = url.rsplit_once('/').unwrap();
        let error = refused(&format!("{server}/no_such_shop")).await;
        assert_says(&error, ErrorKind::InvalidConfiguration, "there is no database \"no_such_shop\"");
    });
}

#[test]
fn server_that_is_not_there_is_an_outage() {
    block_on(async {
        let port = Port::free();
        let place = port.address();
        let error = refused(&url(&format!("app:{SECRET}"), Some(&place), "shop")).await;
        assert_says(&error, ErrorKind::Unavailable, &format!("PostgreSQL at {place} does not answer"));
        let error = refused(&url(&format!("app:{SECRET}"), Some("no-such-host.invalid"), "shop")).await;
        assert_says(&error, ErrorKind::Unavailable, "no-such-host.invalid:5432");
    });
}

#[test]
fn server_that_never_answers_is_given_up() {
    block_on(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = silent.local_addr().unwrap().to_string();
        let error = refused(&url(&format!("app:{SECRET}"), Some(&place), "shop")).await;
        assert_says(&error, ErrorKind::Unavailable, "does not answer within 10s");
    });
}

/// PgBouncer answers like this unless it is configured to ignore them.
#[test]
fn pooler_that_refuses_the_settings_is_not_taken_for_an_outage() {
    block_on(async {
        let pooler = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = pooler.local_addr().unwrap().to_string();
        let answer = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0";
        tokio::spawn(async move {
            // The client asks for TLS first; this pooler has none.
            let (mut client, _) = pooler.accept().await.unwrap();
            let mut asked = [0; 4_096];
            assert!(client.read(&mut asked).await.unwrap() > 0);
            client.write_all(b"N").await.unwrap();
            assert!(client.read(&mut asked).await.unwrap() > 0);
            let length = u32::try_from(answer.len() + 4).unwrap();
            client.write_all(&[&b"E"[..], &length.to_be_bytes(), answer].concat()).await.unwrap();
        });
        let error = refused(&url(&format!("app:{SECRET}"), Some(&place), "shop")).await;
        assert_says(&error, ErrorKind::InvalidConfiguration, "pooler");
        assert_says(&error, ErrorKind::InvalidConfiguration, "unsupported startup parameter");
    });
}

#[test]
fn missing_tables_name_the_command_that_makes_them() {
    block_on(async {
        let database = Database::empty().await;
        assert_says(&refused(database.url()).await, ErrorKind::Schema, "messagekit migrate --database");
        let elsewhere = PostgresStore::options().schema("elsewhere".parse().unwrap());
        let database = Database::fresh().await;
        let error = Error::from(elsewhere.connect(database.url()).await.expect_err("nothing is there"));
        assert_says(&error, ErrorKind::Schema, "elsewhere");
    });
}

#[test]
fn newer_tables_are_refused() {
    block_on(async {
        let database = Database::fresh().await;
        let newer = "INSERT INTO messagekit.schema_migrations (version, name) VALUES (999, 'of tomorrow')";
        sqlx::raw_sql(newer).execute(&mut database.connection().await).await.unwrap();
        assert_says(&refused(database.url()).await, ErrorKind::Schema, "newer than this program");
    });
}

#[test]
fn tables_that_vanish_later_are_a_matter_of_the_schema() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        let drop = "DROP SCHEMA messagekit CASCADE";
        sqlx::raw_sql(drop).execute(&mut database.connection().await).await.unwrap();
        let error =
            messagekit::adapter::Positions::next_of(&store, "billing", "orders.order").await.unwrap_err();
        assert_says(&error, ErrorKind::Schema, "messagekit migrate");
    });
}

#[test]
fn nothing_that_is_shown_holds_the_password() {
    block_on(async {
        let database = Database::fresh().await;
        let name = messagekit_testkit::unique("role").replace(['.', '-'], "_");
        let make = sqlx::AssertSqlSafe(format!("CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{SECRET}'"));
        sqlx::raw_sql(make).execute(&mut database.connection().await).await.unwrap();
        let store =
            PostgresStore::connect(&url(&format!("{name}:{SECRET}"), None, database.name())).await.unwrap();
        let outbox = messagekit::Outbox::new(store.clone(), "shop").unwrap();
        let shown = format!("{store:?} {store:#?} {outbox:?} {:?}", PostgresStore::options());
        assert!(shown.contains(database.name()) && !shown.contains(SECRET), "{shown}");
    });
}

#[test]
fn store_works_in_a_schema_of_another_name() {
    block_on(async {
        let database = Database::empty().await;
        let schema: SchemaName = "events".parse().unwrap();
        messagekit_postgres::migrations::migrate_in(database.url(), &schema).await.unwrap();
        let store = PostgresStore::options().schema(schema).connect(database.url()).await.unwrap();
        let mut tx = messagekit::Store::begin(&store).await.unwrap();
        let id = "pay-7".parse().unwrap();
        assert_eq!(
            messagekit::claim(&store, &mut tx, "payments", &id).await.unwrap(),
            messagekit::Claim::Fresh
        );
        messagekit::Store::commit(&store, tx).await.unwrap();
        let markers = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM events.processed_messages")
            .fetch_one(store.pool());
        assert_eq!(markers.await.unwrap(), 1);
    });
}

#[test]
fn pool_of_your_own_serves_as_well() {
    block_on(async {
        let database = Database::fresh().await;
        let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
        let store = PostgresStore::options().pool(pool).await.unwrap();
        let tx = messagekit::Store::begin(&store).await.unwrap();
        messagekit::Store::commit(&store, tx).await.unwrap();
        let bare = sqlx::PgPool::connect(Database::empty().await.url()).await.unwrap();
        let error = Error::from(PostgresStore::options().pool(bare).await.expect_err("it has no tables"));
        assert_says(&error, ErrorKind::Schema, "messagekit migrate");
    });
}

#[test]
fn codes_say_what_a_caller_can_do() {
    block_on(async {
        let store = Database::fresh().await.store().await;
        for (code, kind) in [
            ("08006", Some(ErrorKind::Unavailable)),
            ("53100", Some(ErrorKind::Unavailable)),
            ("57P01", Some(ErrorKind::Unavailable)),
            ("57P02", Some(ErrorKind::Unavailable)),
            ("57P03", Some(ErrorKind::Unavailable)),
            ("58030", Some(ErrorKind::Unavailable)),
            ("25006", Some(ErrorKind::Unavailable)),
            ("40001", Some(ErrorKind::Conflict)),
            ("40P01", Some(ErrorKind::Conflict)),
            ("55P03", Some(ErrorKind::Conflict)),
            ("57014", Some(ErrorKind::TransactionTimeout)),
            ("25P02", Some(ErrorKind::Aborted)),
            ("22021", Some(ErrorKind::InvalidData)),
            ("22P02", Some(ErrorKind::InvalidData)),
            // The handler's own mistakes.
            ("23505", None),
            ("23514", None),
            ("42601", None),
            ("42P01", None),
        ] {
            let raise = format!(
                "DO $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = '{code}', DETAIL = '{SECRET}'; END $$"
            );
            let error =
                sqlx::raw_sql(sqlx::AssertSqlSafe(raise)).execute(store.pool()).await.expect_err(code);
            assert_eq!(<PostgresStore as messagekit::Store>::classify(&error), kind, "{code}");
            let ours = messagekit_postgres::Error::from(error);
            let shown = format!("{ours} {ours:?} {}", messagekit::chain(&ours));
            assert!(!shown.contains(SECRET) && !shown.contains('\n'), "{shown}");
        }
    });
}
