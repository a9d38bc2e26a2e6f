//! What keeps events from leaving, for a look that is taken all the time.

use messagekit::Error;
use sqlx::PgConnection;

use super::state::State;
use super::{Capture, Subject, finding};

/// What a look at the capture has found.
#[derive(Debug)]
pub(crate) struct Watch {
    /// There is a publication or a slot: somebody wants this outbox to be captured.
    pub(crate) wanted: bool,
    /// There is a slot that can be read.
    pub(crate) slot: bool,
    /// What stands in the way, whoever reads.
    pub(crate) problems: Vec<String>,
    /// Nobody is reading at this moment, as at each restart of a connector.
    pub(crate) unread: Option<String>,
}

/// Looks at publication and slot, not at the role: the connector may use another one.
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
    let slot = state.slot.as_ref().is_some_and(|slot| slot.fits);
    Ok(Watch { wanted: state.publication.is_some() || state.slot.is_some(), slot, problems, unread })
}
