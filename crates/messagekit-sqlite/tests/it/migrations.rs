//! Which file is migrated, which is refused, and what migrating leaves.

use messagekit::ErrorKind;
use messagekit_sqlite::{migrations, rusqlite};
use tempfile::TempDir;

use crate::opening::refused;

#[tokio::test]
async fn newer_tables_are_refused_before_anything_is_changed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("newer.db");
    {
        let conn = rusqlite::Connection::open(&path).unwrap();
        let newer =
            "CREATE TABLE messagekit_schema (version INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER);
            INSERT INTO messagekit_schema VALUES (99, 'future', 0)";
        conn.execute_batch(newer).unwrap();
    }
    let (kind, text) = refused(&path).await;
    assert_eq!(kind, ErrorKind::Schema);
    let program = format!("program {}", migrations::MIGRATIONS.last().unwrap().version);
    assert!(text.contains("file 99") && text.contains(&program) && text.contains("upgrade"), "{text}");
    let conn = rusqlite::Connection::open(&path).unwrap();
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
}

#[tokio::test]
async fn a_stray_table_with_our_prefix_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("stray.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE messagekit_topics (x)").unwrap();
    let (kind, text) = refused(&path).await;
    assert_eq!(kind, ErrorKind::Schema);
    assert!(text.contains("messagekit_topics"), "{text}");
}

#[tokio::test]
async fn status_and_dry_run_change_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.db");
    let status = migrations::status(&path).unwrap();
    assert_eq!((status.current, status.pending.len()), (0, migrations::MIGRATIONS.len()));
    assert!(migrations::pending_sql(&path).unwrap().contains("CREATE TABLE messagekit_"));
    assert!(!path.exists());

    assert_eq!(migrations::migrate(&path).unwrap().len(), migrations::MIGRATIONS.len());
    let status = migrations::status(&path).unwrap();
    assert_eq!((status.current, status.pending.len()), (status.latest, 0));
    assert_eq!(migrations::pending_sql(&path).unwrap(), "");
    assert!(migrations::migrate(&path).unwrap().is_empty());
}

#[test]
fn many_openers_of_a_new_file_all_succeed() {
    for _ in 0..5 {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("race.db");
        std::thread::scope(|scope| {
            let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| migrations::migrate(&path))).collect();
            for opener in openers {
                opener.join().unwrap().unwrap();
            }
        });
        assert_eq!(migrations::status(&path).unwrap().pending.len(), 0);
    }
}
