//! The frequent check for reasons why events do not leave.

use messagekit::Error;
use sqlx::PgConnection;

use super::state::State;
use super::{Capture, Subject, finding};

/// The result of one check.
#[derive(Debug)]
pub(crate) struct Watch {
    /// A publication or a slot exists: this outbox is meant to be captured.
    pub(crate) wanted: bool,
    /// A usable slot exists.
    pub(crate) slot: bool,
    /// The bytes of the log that the slot has not confirmed; `None` without a usable slot, and on a standby.
    pub(crate) slot_bytes: Option<u64>,
    /// Problems that prevent capture, with or without a reader.
    pub(crate) problems: Vec<String>,
    /// No connection reads the slot at this moment, as during a connector's restart.
    pub(crate) unread: Option<String>,
}

/// Checks publication and slot, not the role: the connector may use another one.
pub(crate) async fn watch(conn: &mut PgConnection, capture: &Capture) -> Result<Watch, Error> {
    let state = State::read(conn, capture).await?;
    let (mut problems, mut unread) = (Vec::new(), None);
    for found in finding::of(&state, capture) {
        match found.subject {
            Subject::Reader => unread = Some(found.to_string()),
            Subject::WalLevel | Subject::Publication | Subject::Slot => problems.push(found.to_string()),
            Subject::Tables | Subject::Role => {}
        }
    }
    let usable = state.slot.as_ref().filter(|slot| slot.fits);
    // A moment ago the slot may have confirmed what this look saw as the end.
    let slot_bytes =
        usable.and_then(|slot| slot.behind).map(|bytes| u64::try_from(bytes).unwrap_or_default());
    let (slot, wanted) = (usable.is_some(), state.publication.is_some() || state.slot.is_some());
    Ok(Watch { wanted, slot, slot_bytes, problems, unread })
}
