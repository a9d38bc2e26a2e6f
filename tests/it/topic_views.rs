//! The views over topics of a file, as this program and another one read them.

pub(crate) mod scene;

use std::path::Path;
use std::process::Command;

use messagekit_testkit::block_on;
use messagekit_topic_store::{TopicDefinitions, TopicView};
use messagekit_topics::Topics;
use tempfile::TempDir;

/// Runs a program of Python, whose SQLite is another one than ours.
fn python(program: &str, arguments: &[&str]) -> String {
    let done = Command::new("python3").args(["-c", program]).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn run(path: &Path, sql: &str) {
    const RUN: &str = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
    python(RUN, &[path.to_str().unwrap(), sql]);
}

/// Returns the rows of a view of the file, a JSON object on each line.
fn select(path: &Path, view: TopicView) -> String {
    const SELECT: &str = "import json, sqlite3, sys
file = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)
file.row_factory = sqlite3.Row
for row in file.execute(f'SELECT * FROM {sys.argv[2]} ORDER BY 1, 2 COLLATE BINARY, 3'): print(json.dumps(dict(row)))";
    python(SELECT, &[path.to_str().unwrap(), &view.name().replacen("system.", "messagekit_system_", 1)])
}

#[test]
fn views_of_a_file_are_the_same_for_any_program() {
    block_on(async {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("shop.db");
        let topics = Topics::open(&path).await.unwrap();
        run(&path, scene::TABLES);
        scene::set(&topics).await;
        for view in TopicView::ALL {
            let rows = topics.store().view_rows(view).await.unwrap();
            let expected = scene::expected(view, ["Returns", "orders"]);
            assert_eq!(scene::without_times(view, &rows), expected, "{}", view.name());
            assert_eq!(scene::read_elsewhere(view, &select(&path, view)), rows, "{}", view.name());
        }
    });
}

#[test]
fn tables_of_a_file_with_views_can_be_altered() {
    block_on(async {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("shop.db");
        let topics = Topics::open(&path).await.unwrap();
        run(&path, scene::TABLES);
        run(
            &path,
            "ALTER TABLE orders RENAME TO purchases; ALTER TABLE purchases RENAME COLUMN total TO sum; DROP TABLE purchases",
        );
        assert!(topics.store().view_rows(TopicView::Topics).await.unwrap().is_empty());
    });
}
