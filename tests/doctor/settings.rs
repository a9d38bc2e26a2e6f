//! Tables of another version, and settings of a database.

use messagekit_testkit::{block_on, unique};
use messagekit_tests::Database;

use crate::stage::{Stage, nothing, run};
use messagekit_tests::Server;

#[test]
fn missing_tables_are_found_and_made() {
    block_on(async {
        let database = Database::empty().await;
        let stage = Stage::database(database.url());
        assert!(stage.look().unchecked("relay-absent").is_some_and(|reason| reason.contains("version")));
        stage.heals("schema-pending", nothing).await;
        assert_eq!(stage.look().code, 0);
    });
}

#[test]
fn commits_that_do_not_wait_are_found_where_they_are_set() {
    block_on(async {
        let database = Database::fresh().await;
        let (url, name) = (database.url(), database.name());
        let role = unique("app").replace(['.', '-'], "_");
        run(url, format!("CREATE ROLE {role} LOGIN PASSWORD 'messagekit'")).await;
        let of_role = url.replacen("messagekit:", &format!("{role}:"), 1);
        for place in
            [format!("DATABASE {name}"), format!("ROLE {role}"), format!("ROLE {role} IN DATABASE {name}")]
        {
            run(url, format!("ALTER {place} SET synchronous_commit = off")).await;
            Stage::database(&of_role).owned_by(url).heals("synchronous-commit-off", nothing).await;
        }
        run(url, format!("DROP ROLE {role}")).await;
    });
}

/// The copy is another database: it is examined after the repair.
#[test]
fn a_database_that_is_not_utf8_is_copied_into_one_that_is() {
    block_on(async {
        let server = Server::start(&[]).await;
        let make = "CREATE DATABASE old ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
        run(&server.url("postgres"), make).await;
        let url = server.url("old");
        run(&url, "CREATE TABLE orders AS SELECT chr(233) AS name").await;
        let stage = Stage::database(&url);
        let found = stage.finds("encoding-not-utf8").await;
        let steps = found["repair"].as_array().unwrap();
        run(&url, steps[0]["text"].as_str().unwrap()).await;
        let copied = crate::stage::shell(steps[1]["text"].as_str().unwrap());
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let copy = server.url("old_utf8");
        assert!(!Stage::database(&copy).look().has("encoding-not-utf8"));
        run(&copy, "DO $$ BEGIN ASSERT (SELECT name = chr(233) FROM orders); END $$").await;
    });
}
