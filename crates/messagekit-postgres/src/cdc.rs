//! The database side of change data capture: set-up, checks and removal.
//!
//! Capture needs three objects: a publication of the inserts into the outbox, a logical replication slot that keeps
//! unread rows, and a role that can only read the slot. A Debezium connector reads the slot (`messagekit connector`). The
//! checks look at the slot itself, because a connector still reports RUNNING after its slot is gone.
//!
//! Rows that were committed before the slot existed are never sent: create the slot before the first event.

mod capture;
pub(crate) mod fault;
pub(crate) mod finding;
#[cfg(test)]
pub(crate) mod good_state;
mod role;
mod set_up;
pub(crate) mod state;
mod watch;

use crate::SchemaName;
use crate::migrations::connection;

pub use capture::Capture;
pub use fault::Subject;
pub use finding::Finding;
pub use role::{PASSWORD_VARIABLE, ROLE};
pub use set_up::{drop_slot, may_set_up, set_up, set_up_sql};
pub(crate) use watch::{Watch, watch};

/// Returns the problems that prevent capture, in the order of their repair; empty while a connector reads the rows.
///
/// Reads the state once and changes nothing.
///
/// # Errors
/// As [`migrations::status`](crate::migrations::status): the database could not be read.
pub async fn findings(url: &str, schema: &SchemaName) -> Result<Vec<Finding>, crate::Error> {
    let capture = Capture::of(url, schema)?;
    let mut conn = connection::open(url).await?;
    let state = state::State::read(&mut conn, &capture).await;
    connection::close(conn).await;
    Ok(finding::of(&state?, &capture))
}
