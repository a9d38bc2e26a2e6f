//! An open transaction.

pub(crate) mod begin;
pub(crate) mod commit;
pub(crate) mod limits;

use std::ops::{Deref, DerefMut};

#[cfg(doc)]
use messagekit::{ErrorKind, Store};
use sqlx::{PgConnection, Postgres, Transaction};

/// A transaction of PostgreSQL: your statements, the marker of the message and new events share it.
///
/// It is sqlx's transaction, and reads as its connection: handlers run `sqlx::query(…).execute(&mut **tx)`, and
/// [`begin`](sqlx::Connection::begin) makes a savepoint. A failed statement ends it for every later one. If the handler swallows
/// the error, [`Store::commit`] still fails with [`ErrorKind::Aborted`]. Dropping it rolls back.
///
/// One that you have begun with sqlx becomes it by [`From`], and it becomes sqlx's again, to be committed there.
// Not an alias of sqlx's type: a future that holds an async closure over a type with a lifetime is not `Send` for the compiler
// (<https://github.com/rust-lang/rust/issues/110338>), and handlers of a web server are such futures.
#[derive(Debug)]
pub struct PgTx(Transaction<'static, Postgres>);

impl Deref for PgTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for PgTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

impl From<Transaction<'static, Postgres>> for PgTx {
    fn from(begun: Transaction<'static, Postgres>) -> Self {
        Self(begun)
    }
}

impl From<PgTx> for Transaction<'static, Postgres> {
    fn from(tx: PgTx) -> Self {
        tx.0
    }
}
