//! An open transaction.

pub(crate) mod begin;
pub(crate) mod commit;
pub(crate) mod limits;

#[cfg(doc)]
use messagekit::{ErrorKind, Store};
use sqlx::Postgres;

/// A transaction of PostgreSQL: your statements, the marker of the message and new events share it.
///
/// It is sqlx's own type, so handlers run `sqlx::query(…).execute(&mut **tx)`. A failed statement ends it for every later
/// one. If the handler swallows the error, [`Store::commit`] still fails with [`ErrorKind::Aborted`].
pub type PgTx = sqlx::Transaction<'static, Postgres>;
