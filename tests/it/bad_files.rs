//! Files that cannot be opened: the one-line error names the problem, the file and the cure, and nothing is changed.

use std::fs;
use std::path::Path;

use messagekit::ErrorKind;
use messagekit_sqlite::{SqliteStore, migrations, rusqlite};
use tempfile::TempDir;

/// Returns the files of a folder with their sizes: a refused file leaves it unchanged.
fn contents(folder: &Path) -> Vec<(String, u64)> {
    let mut names: Vec<(String, u64)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap().len())
        })
        .collect();
    names.sort();
    names
}

/// Requires that opening and migrating fail with one line that names the file and the cure, and that the check says the same.
async fn refused(path: &Path, kind: ErrorKind, says: &str) {
    let folder = path.ancestors().find(|folder| folder.is_dir()).unwrap();
    let listed = folder.starts_with(std::env::temp_dir());
    let before = listed.then(|| contents(folder));
    let opened = SqliteStore::open(path).await.expect_err("it is not opened");
    let migrated = migrations::migrate(path).expect_err("it is not migrated");
    for error in [opened, migrated] {
        let text = messagekit::chain(&error);
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(says), "{text}");
        assert!(text.contains(&path.display().to_string()), "it names the file: {text}");
        assert!(!text.contains('\n') && text.len() < 400, "{text}");
        assert!(text.starts_with("open database: ") || text.starts_with("tables are newer "), "{text}");
    }
    assert_eq!(listed.then(|| contents(folder)), before, "nothing was made or changed");
}

#[tokio::test]
async fn a_folder_that_is_missing_is_named() {
    let folder = TempDir::new().unwrap();
    refused(
        &folder.path().join("none/shop.db"),
        ErrorKind::Unavailable,
        "folder does not exist: create it first",
    )
    .await;
}

#[tokio::test]
async fn a_folder_is_not_a_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("shop.db");
    fs::create_dir(&path).unwrap();
    refused(&path, ErrorKind::Unavailable, "path is a folder: name a file in it").await;
}

#[tokio::test]
async fn a_path_below_a_file_is_refused() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "text").unwrap();
    refused(&folder.path().join("file/shop.db"), ErrorKind::Unavailable, "file cannot be").await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn folder_without_write_access_is_refused() {
    // Permissions do not restrict root, but not even root can create files in /proc.
    refused(
        Path::new("/proc/shop.db"),
        ErrorKind::Unavailable,
        "file cannot be made: check the rights on its folder",
    )
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_without_the_right_to_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(closed.join("probe"), "").is_ok() {
        println!("skipped: this user writes wherever it likes");
        return;
    }
    refused(&closed.join("shop.db"), ErrorKind::Unavailable, "check the rights on its folder").await;
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in
        [("text", b"this is a text and nothing else".repeat(200)), ("two bytes", b"ab".to_vec())]
    {
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        refused(&path, ErrorKind::Corrupt, "not a SQLite database: name another path or move the file away")
            .await;
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("shop.db");
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    let whole = fs::read(&path).unwrap();
    for length in [whole.len() - 4_096, whole.len() / 2, 4_096, 600, 100, 50] {
        fs::write(&path, &whole[..length]).unwrap();
        refused(&path, ErrorKind::Corrupt, "open database: file is").await;
    }
}

#[tokio::test]
async fn tables_of_a_newer_program_are_refused_and_stay() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("shop.db");
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    let later = "INSERT INTO messagekit_schema (version, name, applied_at) VALUES (99, 'from the future', 0)";
    rusqlite::Connection::open(&path).unwrap().execute_batch(later).unwrap();
    let says = "tables are newer than this program: upgrade the program, or name another file";
    refused(&path, ErrorKind::Schema, says).await;
    assert_eq!(migrations::status(&path).unwrap_err().kind(), ErrorKind::Schema);
}

#[tokio::test]
async fn a_foreign_table_with_our_prefix_is_refused_and_stays() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("shop.db");
    let theirs = "CREATE TABLE messagekit_topics (theirs TEXT)";
    rusqlite::Connection::open(&path).unwrap().execute_batch(theirs).unwrap();
    refused(&path, ErrorKind::Schema, "rename that table, or name another file").await;
}

#[tokio::test]
async fn looking_at_a_missing_file_does_not_make_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("shop.db");
    let status = migrations::status(&path).unwrap();
    assert_eq!((status.current, status.pending.len()), (0, migrations::MIGRATIONS.len()));
    assert!(migrations::pending_sql(&path).unwrap().contains("CREATE TABLE messagekit_topics"));
    assert!(contents(folder.path()).is_empty());
}

#[tokio::test]
async fn a_database_without_a_file_is_refused() {
    for path in ["", ":memory:"] {
        let error = SqliteStore::open(path).await.expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        assert!(error.to_string().contains("name a file"), "{error}");
    }
    assert!(!Path::new(":memory:").exists());
}
