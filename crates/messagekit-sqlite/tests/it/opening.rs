//! Opening and closing a file.

use std::fs;
use std::path::Path;

use messagekit::{ErrorKind, Store};
use messagekit_sqlite::{FileSystem, SqliteStore, rusqlite};
use tempfile::TempDir;

pub(crate) async fn refused(path: &Path) -> (ErrorKind, String) {
    let error = SqliteStore::open(path).await.unwrap_err();
    let text = messagekit::chain(&error);
    assert!(text.contains(&path.display().to_string()), "no path in {text}");
    assert!(!text.contains('\n'), "{text}");
    (error.kind(), text)
}

#[tokio::test]
async fn a_missing_file_is_made_and_opens_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("new.db");
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    let mode: String =
        store.read(|c| c.query_row("PRAGMA journal_mode", [], |row| row.get(0))).await.unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn a_file_on_a_network_file_system_is_refused_and_not_made() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("shared.db");
    let options = SqliteStore::options().file_system_by(|_| FileSystem::Network("nfs"));
    let error = options.open(&path).await.unwrap_err();
    let text = messagekit::chain(&error);
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    assert!(text.contains("move it to a local disk") && text.contains("nfs"), "{text}");
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was made");
    let options = SqliteStore::options().file_system_by(|_| FileSystem::Local);
    options.open(&path).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn a_file_with_user_tables_opens_and_keeps_its_user_version() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.db");
    {
        let conn = rusqlite::Connection::open(&path).unwrap();
        let setup = "CREATE TABLE topics (name TEXT); PRAGMA user_version = 3; PRAGMA application_id = 77";
        conn.execute_batch(setup).unwrap();
    }
    let store = SqliteStore::open(&path).await.unwrap();
    let pragmas = store
        .read(|c| {
            let user_version: i64 = c.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            let application: i64 = c.query_row("PRAGMA application_id", [], |row| row.get(0))?;
            Ok((user_version, application))
        })
        .await
        .unwrap();
    assert_eq!(pragmas, (3, 77));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "this is text, and more of it than a header has ".repeat(40)).unwrap();
    let before = fs::read(&path).unwrap();
    let (kind, text) = refused(&path).await;
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(text.contains("not a SQLite database"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn missing_folder_and_folder_as_file_have_distinct_errors() {
    let folder = TempDir::new().unwrap();
    let (kind, text) = refused(&folder.path().join("nowhere/app.db")).await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(text.contains("folder does not exist"), "{text}");
    let (_, text) = refused(folder.path()).await;
    assert!(text.contains("is a folder"), "{text}");
    let error = SqliteStore::open(":memory:").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
}

#[tokio::test]
async fn a_closed_file_stands_alone_and_its_handles_say_closed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.call(|c| c.execute_batch("CREATE TABLE t (n)")).await.unwrap();
    store.commit(tx).await.unwrap();
    store.read(|c| c.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))).await.unwrap();
    let other = store.clone();
    let mut early = other.begin().await.unwrap();
    store.close().await.unwrap();

    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["app.db"]);
    assert_eq!(other.begin().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(early.call(|c| c.execute_batch("SELECT 1")).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(other.read(|_| Ok(())).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(other.close().await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn readers_cannot_write() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path().join("app.db")).await.unwrap();
    store.read(|c| c.execute_batch("CREATE TABLE t (n)")).await.unwrap_err();
    store.read(|c| c.execute_batch("PRAGMA query_only = OFF")).await.unwrap_err();
    store.read(|c| c.execute_batch("ROLLBACK")).await.unwrap_err();
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 't'";
    assert_eq!(store.read(move |c| c.query_row(tables, [], |row| row.get::<_, i64>(0))).await.unwrap(), 0);
}
