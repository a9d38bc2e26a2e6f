//! Whether the sources of a bookkeeper are read.

use std::sync::Arc;

use crate::Origin;
use crate::consumer::Stats;

/// A live view of one source of a bookkeeper; cloning is cheap.
#[derive(Clone, Debug)]
pub struct Reading {
    pub(super) origin: Origin,
    pub(super) names: Arc<[Arc<str>]>,
    pub(super) stats: Stats,
}

impl Reading {
    /// Returns what is read: queues or topics.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Says what is not read, and why as far as it is known; `None` while all is well.
    ///
    /// Every queue needs a consumer at the broker. Of topics at least one partition must be assigned: a process that stands by
    /// because others have them all is not well in this sense. An outage of a source that stays assigned is known while the
    /// source repeats it, every 30 s at least.
    pub fn problem(&self) -> Option<String> {
        let connection = self.stats.connection();
        let names = self.names.join(", ");
        let missing = match self.origin {
            Origin::Queue if connection.lanes < self.names.len() as u64 => {
                format!("{} of {} queues are read ({names})", connection.lanes, self.names.len())
            }
            Origin::Topic if connection.lanes == 0 => format!("no partition is assigned ({names})"),
            _ => return connection.trouble,
        };
        Some(match connection.trouble {
            Some(trouble) => format!("{missing}: {trouble}"),
            None => missing,
        })
    }
}
