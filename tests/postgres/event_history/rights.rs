//! Roles that wrote, read and cleaned the outbox before the links had a table.

use messagekit_postgres::migrations;
use messagekit_testkit::{block_on, unique};
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Executor};

#[test]
fn upgrade_grants_the_rights_on_the_outbox_for_the_links() {
    block_on(async {
        let database = Database::empty().await;
        let mut conn = database.connection().await;
        conn.execute(sqlx::raw_sql(include_str!("../upgrades/0001.sql"))).await.unwrap();
        let [writer, reader] = ["writer", "reader"].map(|role| unique(role).replace(['.', '-'], "_"));
        let grant = format!(
            "CREATE ROLE {writer}; CREATE ROLE {reader}; GRANT USAGE ON SCHEMA messagekit TO {writer}, {reader};
            GRANT INSERT ON messagekit.outbox_events TO {writer}; GRANT SELECT ON messagekit.outbox_events TO {reader}"
        );
        conn.execute(sqlx::raw_sql(AssertSqlSafe(grant))).await.unwrap();
        migrations::migrate(database.url()).await.unwrap();

        let rights = "SELECT has_table_privilege($1, 'messagekit.outbox_links', 'INSERT'),
            has_table_privilege($1, 'messagekit.outbox_links', 'SELECT')";
        for (role, wanted) in [(&writer, (true, false)), (&reader, (false, true))] {
            let found: (bool, bool) = sqlx::query_as(rights).bind(role).fetch_one(&mut conn).await.unwrap();
            assert_eq!(found, wanted, "{role}");
        }
    });
}
