//! Disturbances of group members.

use std::time::Duration;

use super::members::{MEMBERS, Members};
use super::watch::Watch;
use crate::frame::Outcome;

/// Longer than a session of messagekit or Watermill, shorter than one of librdkafka.
pub(super) const FREEZE: Duration = Duration::from_secs(14);

/// The member that is killed or frozen.
pub(super) const VICTIM: usize = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    Kill,
    Freeze,
    Restarts,
}

impl Disturbance {
    pub(super) const ALL: [Self; 3] = [Self::Kill, Self::Freeze, Self::Restarts];

    pub(super) fn name(self) -> String {
        match self {
            Self::Kill => "kill -9 of one, started again at once".to_owned(),
            Self::Freeze => format!("one frozen for {} s", FREEZE.as_secs()),
            Self::Restarts => "rolling restart of all".to_owned(),
        }
    }

    /// Returns when the last member has resumed or was restarted.
    pub(super) async fn strike(self, members: &mut Members, watch: &Watch) -> Outcome<()> {
        match self {
            Self::Kill => members.kill_and_start(VICTIM),
            Self::Freeze => {
                members.freeze(VICTIM)?;
                tokio::time::sleep(FREEZE).await;
                members.thaw(VICTIM)
            }
            Self::Restarts => {
                for member in 0..MEMBERS {
                    members.restart(member).await?;
                    // As an orchestrator does: restart the next member when this one works.
                    watch.until_shared().await?;
                }
                Ok(())
            }
        }
    }
}
