//! The commands of the page on table changes, unchanged and in their order, and what the program says of mistakes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use messagekit_testkit::block_on;
use messagekit_tests::Database;
use serde_json::Value;
use sqlx::AssertSqlSafe;

/// Each command of the page, and what it must print.
const COMMANDS: &[(&str, &str)] = &[
    ("messagekit topics create shop.orders --max-age 7d", "topic shop.orders created"),
    (
        "messagekit topics source add shop.orders orders --on insert,update --payload diff --filter \"NEW.status = 'paid'\"",
        "table orders is a source of topic shop.orders",
    ),
    ("messagekit topics source list", "NEW.status = 'paid'"),
    (
        "messagekit topics consume shop.orders --consumer shipping --claim 100",
        "\"row\":{\"id\":7,\"status\":\"paid\"}",
    ),
    (
        "messagekit topics source drop shop.orders orders",
        "table orders is no source of topic shop.orders any more",
    ),
    (
        "messagekit topics source add shop.orders orders --on-failure set-aside",
        "table orders is a source of topic shop.orders",
    ),
    ("messagekit dlq list --consumer route:shop.orders:public.orders", "no failed message"),
];

async fn shop() -> Database {
    let database = Database::fresh().await;
    let path = AssertSqlSafe(format!("ALTER DATABASE {} SET search_path TO public", database.name()));
    sqlx::raw_sql(path).execute(&mut database.connection().await).await.unwrap();
    run(&database, "CREATE TABLE orders (id int PRIMARY KEY, status text)").await;
    database
}

async fn run(database: &Database, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut database.connection().await).await.unwrap();
}

fn shell(line: &str, database: &Database) -> Output {
    let ours = Path::new(env!("CARGO_BIN_EXE_worker")).parent().unwrap();
    let path = format!("{}:{}", ours.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-euc", line]).stdin(Stdio::null()).env("PATH", path).env("COLUMNS", "200");
    shell.env("MESSAGEKIT_DATABASE_URL", database.url()).output().unwrap()
}

fn written() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/table-changes.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("\n```").skip(1).step_by(2);
    let shell = blocks.filter_map(|block| block.strip_prefix("sh\n"));
    shell.flat_map(str::lines).map(str::to_owned).collect()
}

#[test]
fn commands_of_the_page_on_table_changes_do_what_it_says() {
    let known: Vec<&str> = COMMANDS.iter().map(|(line, _)| *line).collect();
    assert_eq!(written(), known, "the page has other commands than its test");
    block_on(async {
        let database = shop().await;
        for (line, prints) in COMMANDS {
            let output = shell(line, &database);
            let printed = String::from_utf8(output.stdout).unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() && printed.contains(prints), "{line}: {printed}{said}");
            if line.contains("source add") {
                run(
                    &database,
                    "INSERT INTO orders VALUES (6, 'open'), (7, 'paid') ON CONFLICT (id) DO NOTHING",
                )
                .await;
            }
        }
    });
}

#[test]
fn topics_of_a_server_are_used_from_the_shell() {
    block_on(async {
        let database = shop().await;
        for (line, prints) in [
            (
                "messagekit topics create rss.items --dedup url --key url --partitions 3",
                "topic rss.items created",
            ),
            (
                "messagekit topics create rss.items --dedup url --key url --partitions 3",
                "has these rules already",
            ),
            (
                "printf '{\"url\": \"a\"}\\n{\"url\": \"b\"}\\n{\"url\": \"a\"}\\n' | messagekit topics append --if-new rss.items",
                "1\n2\nduplicate of 1\n",
            ),
            ("messagekit topics consume rss.items --max 1", "{\"url\":\"a\"}"),
            ("messagekit topics show rss.items", "1 new, 1 handled, 0 dead"),
            ("messagekit topics list --json", "\"handled\":1"),
            (
                "messagekit topics export rss.items | messagekit topics import rss.items",
                "0 imported, 2 known already",
            ),
            ("messagekit topics retention rss.items --max-bytes 1", "records deleted: "),
        ] {
            let output = shell(line, &database);
            let printed = String::from_utf8(output.stdout).unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() && printed.contains(prints), "{line}: {printed}{said}");
        }
    });
}

#[test]
fn mistakes_with_sources_are_one_line_each() {
    block_on(async {
        let database = shop().await;
        for (line, says) in [
            ("messagekit topics source add shop.orders nowhere", "there is no such table"),
            ("messagekit topics source add shop.orders orders --filter 'now() > id'", "immutable"),
            (
                "messagekit topics source add shop.orders orders --filter 'id IN (SELECT 1)'",
                "expression holds",
            ),
            ("messagekit topics source add shop.orders orders --filter 'missing = 1'", "cannot evaluate"),
            ("messagekit topics source add 'shop orders' orders", "shop orders"),
            ("messagekit topics backup copy.db", "SQLite file"),
            ("messagekit topics consume shop.orders", "no such topic"),
        ] {
            let output = shell(line, &database);
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success() && output.stdout.is_empty(), "{line}: {said}");
            assert!(said.lines().count() == 1 && said.contains(says), "{line}: {said}");
        }
        assert!(shell("messagekit topics source add shop.orders orders", &database).status.success());
        run(&database, "ALTER TABLE orders DISABLE TRIGGER USER").await;
        let output = shell("messagekit topics source list --json", &database);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["sources"][0]["fault"], "trigger_missing");
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    });
}
