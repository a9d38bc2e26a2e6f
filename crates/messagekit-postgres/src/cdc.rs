//! What change data capture needs of the database, made, checked and taken away.
//!
//! A publication of the inserts into the outbox, a logical replication slot that keeps what was not yet read, and a role
//! that can do nothing but read the slot. A connector of Debezium reads them (`messagekit connector`); whether it does is
//! seen here, in the slot, because the connector's own RUNNING stays when the slot is gone.
//!
//! The rows that were committed before the slot existed are never sent: make it before the first event.

mod capture;
mod finding;
mod set_up;
mod state;
mod watch;

use crate::SchemaName;
use crate::migrations::link;

pub use capture::Capture;
pub use finding::{Finding, Subject};
pub use set_up::{drop_slot, may_set_up, set_up, set_up_sql};
pub(crate) use watch::watch;

/// The variable that holds the password of [`ROLE`], here and in the connector's worker.
pub const PASSWORD_VARIABLE: &str = "MESSAGEKIT_CDC_PASSWORD";

/// The role that reads the slot: LOGIN, REPLICATION and CONNECT, and no right on any table. It belongs to the whole server.
pub const ROLE: &str = "messagekit_cdc";

/// Returns what stands in the way of capture, in the order in which it is to be repaired; empty when rows are being read.
///
/// One look, which changes nothing.
///
/// # Errors
/// As [`migrations::status`](crate::migrations::status): the database could not be asked.
pub async fn findings(url: &str, schema: &SchemaName) -> Result<Vec<Finding>, crate::Error> {
    let capture = Capture::of(url, schema)?;
    let mut conn = link::open(url).await?;
    let state = state::State::read(&mut conn, &capture).await;
    link::close(conn).await;
    Ok(finding::of(&state?, &capture))
}
