//! Databases that cannot store every text: refused at once, with the cure.

use messagekit::operations::OutboxHealth;
use messagekit::{Error, ErrorKind};
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName, migrations};
use messagekit_testkit::{DEADLINE, block_on, unique};
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};

/// Creates a database with another encoding, and returns its URL and its name.
async fn made(encoding: &str) -> (String, String) {
    let neighbour = Database::empty().await;
    let name = unique("other").replace(['.', '-'], "_");
    let make = format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
    neighbour.connection().await.execute(AssertSqlSafe(make)).await.expect("makes a database");
    let (server, _) = neighbour.url().rsplit_once('/').expect("the URL names a database");
    (format!("{server}/{name}"), name)
}

fn assert_refused(error: &Error, name: &str, encoding: &str) {
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{error}");
    for said in [&format!("{name:?}"), encoding, "UTF8", "pg_dump", "ENCODING 'UTF8' TEMPLATE template0"] {
        assert!(error.to_string().contains(said), "{error} does not say {said}");
    }
}

#[test]
fn database_that_is_not_utf8_is_refused_with_its_cure() {
    block_on(async {
        for encoding in ["LATIN1", "SQL_ASCII", "EUC_JP"] {
            let (url, name) = made(encoding).await;
            let refused = |error: messagekit_postgres::Error| assert_refused(&error.into(), &name, encoding);
            refused(migrations::migrate(&url).await.expect_err("migrate"));
            refused(migrations::status(&url).await.expect_err("status"));
            refused(migrations::pending_sql(&url).await.expect_err("the statements"));
            refused(PostgresStore::connect(&url).await.expect_err("connect"));
            let pool = PgPool::connect(&url).await.unwrap();
            refused(PostgresStore::options().pool(pool).await.expect_err("a pool of one's own"));
            let switch = to_relay(&url, &SchemaName::default(), Existing::Refuse, DEADLINE).await;
            refused(switch.expect_err("switch"));
            let mut conn = PgConnection::connect(&url).await.unwrap();
            let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'messagekit'";
            let schemas: i64 = sqlx::query_scalar(schemas).fetch_one(&mut conn).await.unwrap();
            assert_eq!(schemas, 0, "nothing was made");
        }
    });
}

/// Tables may exist from before; a store that connects later returns the error at the first operation.
#[test]
fn tables_in_a_database_that_is_not_utf8_are_refused_too() {
    block_on(async {
        let sql = migrations::pending_sql(Database::empty().await.url()).await.unwrap();
        let (url, name) = made("LATIN1").await;
        let mut conn = PgConnection::connect(&url).await.unwrap();
        conn.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect("the tables can be made by hand");
        let refused = PostgresStore::connect(&url).await.expect_err("connect");
        assert_refused(&refused.into(), &name, "LATIN1");
        let store = PostgresStore::lazy(&url).unwrap();
        assert_refused(&store.ping().await.expect_err("ping"), &name, "LATIN1");
    });
}
