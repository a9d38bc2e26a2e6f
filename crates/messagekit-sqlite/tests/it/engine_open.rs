//! Opening, migrating and closing a file.

use std::fs;
use std::path::Path;
use std::time::Duration;

use messagekit::{
    Act, Acted, Actor, Bookkeeping, DeadLetters, ErrorKind, Failure, FailureKind, LetterFilter, LetterState,
    Message, Origin, Received, Retries, SetAside, Store,
};
use messagekit_sqlite::{SqliteStore, migrations, rusqlite};
use tempfile::TempDir;

async fn refused(path: &Path) -> (ErrorKind, String) {
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
async fn a_file_with_tables_of_the_user_is_welcome_and_its_version_stays_his() {
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
async fn a_missing_folder_and_a_folder_are_told_apart() {
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

/// A file as the first version left it: letters in every state, and rows of the user's that point at one.
fn file_of_the_first_version(path: &Path) {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute_batch(migrations::MIGRATIONS[0].sql).unwrap();
    conn.execute_batch(
        "CREATE TABLE messagekit_schema (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT;
         INSERT INTO messagekit_schema VALUES (1, 'tables', 0);
         INSERT INTO messagekit_consumers VALUES (1, 'billing');
         INSERT INTO messagekit_dead_letters
           (id, consumer_id, message_id, topic, state, attempts, kills, due, running_since, token, kind, error,
            fingerprint, set_aside_at, changed_at, key, headers, payload)
         VALUES (3, 1, 'a', 't', 'dead', 4, 1, NULL, NULL, 7, 'failed', 'no', 'f', 1, 2, x'ff', '[[\"id\",\"a\"]]', x'fe00'),
                (4, 1, 'b', 't', 'retrying', 1, 0, 5, 4, 2, 'failed', 'no', 'f', 1, 2, NULL, '[]', x''),
                (9, 1, 'c', 't', 'resolved', 1, 0, NULL, NULL, 2, 'failed', 'no', 'f', 1, 2, NULL, '[]', x'');
         DELETE FROM messagekit_dead_letters WHERE id = 9;
         INSERT INTO messagekit_processed_messages VALUES (1, 'a', 0, 1, 1), (1, 'b', 0, 1, 1);
         CREATE TABLE comments (letter INTEGER REFERENCES messagekit_dead_letters (id) ON DELETE CASCADE, text TEXT);
         INSERT INTO comments VALUES (3, 'ask Ada');
         CREATE VIEW open_letters AS SELECT id FROM messagekit_dead_letters WHERE state <> 'resolved';",
    )
    .unwrap();
}

#[tokio::test]
async fn a_file_of_the_first_version_keeps_its_letters_and_what_points_at_them() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("old.db");
    file_of_the_first_version(&path);
    assert_eq!(migrations::status(&path).unwrap().pending.len(), migrations::MIGRATIONS.len() - 1);
    let store = SqliteStore::open(&path).await.unwrap();

    let dead = store.show(3).await.unwrap();
    assert_eq!(
        (dead.state, dead.attempts, dead.kills, dead.origin),
        (LetterState::Dead, 4, 1, Origin::Store)
    );
    assert_eq!((dead.key.as_deref(), &*dead.received.message.payload), (Some(&[0xff][..]), &[0xfe, 0][..]));
    assert_eq!(dead.received.message.headers.text("id"), Some("a"));
    let count = |sql: &'static str| {
        let store = store.clone();
        async move { store.read(move |c| c.query_row(sql, [], |row| row.get::<_, i64>(0))).await.unwrap() }
    };
    assert_eq!(count("SELECT count(*) FROM comments WHERE letter = 3").await, 1);
    assert_eq!(count("SELECT count(*) FROM open_letters").await, 2);
    assert_eq!(count("SELECT count(*) FROM pragma_foreign_key_check").await, 0);
    let mut tx = store.begin().await.unwrap();
    let stray = tx.call(|c| c.execute("INSERT INTO comments VALUES (999, 'nobody')", [])).await;
    assert!(stray.is_err(), "foreign keys are on again");
    store.rollback(tx).await.unwrap();

    // The run that was under way when the old program ended counts as a kill, as it would have there.
    let leased = store.lease("billing", 1, Duration::from_secs(60)).await.unwrap();
    assert_eq!((leased[0].letter, leased[0].kills, leased[0].token), (4, 1, 3));
    let acted = store.act(Act::Discard, &[3], &Actor::new("ada", "test")).await.unwrap();
    assert_eq!(acted, [Acted::Done]);
    let mut tx = store.begin().await.unwrap();
    let received = Received { id: "d".parse().unwrap(), message: Message::new("t", ""), place: None };
    store
        .set_aside(&mut tx, "billing", &received, &Failure::permanent(FailureKind::Failed, "no"))
        .await
        .unwrap();
    store.commit(tx).await.unwrap();
    assert_eq!(store.ids(&LetterFilter::default(), 10).await.unwrap(), [3, 4, 10], "9 was given once");
}

/// A file as the second version left it: a letter of a broker, and one that was given up.
fn file_of_the_second_version(path: &Path) {
    file_of_the_first_version(path);
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.pragma_update(None, "foreign_keys", false).unwrap();
    conn.execute_batch(migrations::MIGRATIONS[1].sql).unwrap();
    conn.execute_batch(
        "INSERT INTO messagekit_schema VALUES (2, 'operations', 0);
         INSERT INTO messagekit_consumers VALUES (2, 'queue:q');
         INSERT INTO messagekit_dead_letters
           (id, consumer_id, message_id, topic, partition, offset, origin, return_to, state, attempts, due, kind, error,
            fingerprint, set_aside_at, changed_at, key, headers, payload)
         VALUES (11, 2, 'd', 't', NULL, NULL, 'queue', 'q', 'replaying', 0, 5, 'failed', 'no', 'f', 1, 2, NULL, '[]', x''),
                (12, 1, 'e', 't', 0, 7, 'store', NULL, 'discarded', 1, NULL, 'failed', 'no', 'f', 1, 2, x'6b', '[]', x'');
         DELETE FROM messagekit_dead_letters WHERE id = 12;
         INSERT INTO messagekit_suspects (consumer_id, message_id, deaths, running, noted_at)
         VALUES (2, 'stood-down', 1, 0, 5), (2, 'noted', 0, 1, 5), (2, 'again', 3, 1, 5);",
    )
    .unwrap();
}

#[tokio::test]
async fn a_file_of_the_second_version_keeps_its_letters_and_none_of_them_holds_a_key() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("old.db");
    file_of_the_second_version(&path);
    let store = SqliteStore::open(&path).await.unwrap();
    let letter = store.show(11).await.unwrap();
    assert_eq!((letter.origin, letter.return_to.as_deref()), (Origin::Queue, Some("q")));
    let held = "SELECT count(*) FROM messagekit_dead_letters WHERE parked = 1";
    let columns = "SELECT group_concat(text) FROM comments JOIN messagekit_dead_letters d ON d.id = letter";
    let notes = "SELECT group_concat(message_id || ' ' || notes) FROM
      (SELECT message_id, count(*) AS notes FROM messagekit_suspect_notes GROUP BY message_id ORDER BY message_id)";
    let seen = store.read(move |c| {
        Ok((
            c.query_row(held, [], |row| row.get::<_, i64>(0))?,
            c.query_row(columns, [], |row| row.get::<_, String>(0))?,
            c.query_row(notes, [], |row| row.get::<_, String>(0))?,
        ))
    });
    let deaths = "again 4,noted 1,stood-down 1";
    assert_eq!(seen.await.unwrap(), (0, "ask Ada".to_owned(), deaths.to_owned()));
    let back = store.lease_returns(Origin::Queue, 5, Duration::from_secs(60)).await.unwrap();
    assert_eq!(back.iter().map(|back| back.leased.letter).collect::<Vec<_>>(), [11]);
    let mut tx = store.begin().await.unwrap();
    let received = Received { id: "f".parse().unwrap(), message: Message::new("t", ""), place: None };
    let failure = Failure::permanent(FailureKind::Failed, "no");
    store.set_aside(&mut tx, "billing", &received, &failure).await.unwrap();
    store.commit(tx).await.unwrap();
    assert_eq!(store.ids(&LetterFilter::default(), 10).await.unwrap(), [3, 4, 11, 13], "12 was given once");
}
