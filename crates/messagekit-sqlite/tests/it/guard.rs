//! Operations that a user's statements cannot perform.

use messagekit::{ErrorKind, Store};
use messagekit_sqlite::rusqlite::{self, ErrorCode};

use crate::transaction::{fixture, insert};

#[tokio::test]
async fn control_statements_are_refused_and_the_transaction_goes_on() {
    let fixture = fixture().await;
    let mut tx = fixture.begun().await;
    for sql in [
        "COMMIT",
        "END",
        "ROLLBACK",
        "BEGIN",
        "ATTACH ':memory:' AS other",
        "PRAGMA synchronous = OFF",
        "PRAGMA foreign_keys(0)",
        "PRAGMA wal_checkpoint",
    ] {
        let error = tx.call(move |c| c.prepare_cached(sql).map(drop)).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().downcast_ref::<rusqlite::Error>().unwrap();
        assert_eq!(cause.sqlite_error_code(), Some(ErrorCode::AuthorizationForStatementDenied), "{sql}");
    }
    fixture.store.commit(tx).await.unwrap();
    assert_eq!(fixture.rows().await, [1]);
}

#[tokio::test]
async fn savepoints_and_reading_pragmas_are_allowed() {
    let fixture = fixture().await;
    let mut tx = fixture.begun().await;
    let columns = tx
        .call(|c| {
            c.execute_batch("SAVEPOINT a; INSERT INTO t VALUES (2); ROLLBACK TO a; RELEASE a")?;
            c.query_row("PRAGMA foreign_keys", [], |row| row.get::<_, i64>(0))?;
            c.query_all("SELECT name FROM pragma_table_info('t')", [], |row| row.get::<_, String>(0))
        })
        .await
        .unwrap();
    assert_eq!(columns, ["n"]);
    fixture.store.commit(tx).await.unwrap();
    assert_eq!(fixture.rows().await, [1]);
}

#[tokio::test]
async fn an_automatic_rollback_leaks_nothing_and_ends_the_transaction() {
    let fixture = fixture().await;
    let mut tx = fixture.begun().await;
    let error = tx.call(|c| c.execute("INSERT OR ROLLBACK INTO t VALUES (1)", [])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert_eq!(insert(&mut tx, 2).await.unwrap_err().kind(), ErrorKind::Aborted);
    assert_eq!(fixture.store.commit(tx).await.unwrap_err().kind(), ErrorKind::Aborted);
    assert!(fixture.rows().await.is_empty());
}

#[tokio::test]
async fn closure_writes_after_an_automatic_rollback_are_not_kept() {
    let fixture = fixture().await;
    let mut tx = fixture.begun().await;
    let outcome = tx
        .call(|c| {
            c.execute("INSERT OR ROLLBACK INTO t VALUES (1)", []).unwrap_err();
            // The connection is in autocommit mode now: the hook vetoes a commit by the statement itself.
            let vetoed = c.execute("INSERT INTO t VALUES (2)", []).unwrap_err();
            assert_eq!(vetoed.sqlite_error_code(), Some(ErrorCode::ConstraintViolation));
            Ok(())
        })
        .await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Aborted);
    assert_eq!(fixture.store.commit(tx).await.unwrap_err().kind(), ErrorKind::Aborted);
    assert!(fixture.rows().await.is_empty());
}
