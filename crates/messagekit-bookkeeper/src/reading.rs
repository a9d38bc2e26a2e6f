//! Monitors whether a bookkeeper's sources are read.

use std::sync::Arc;

use messagekit::Stats;
use messagekit::operations::Origin;

/// Provides a live view of one source of a bookkeeper; cloning is cheap.
#[derive(Clone, Debug)]
pub struct Reading {
    pub(super) origin: Origin,
    pub(super) names: Arc<[Arc<str>]>,
    pub(super) stats: Stats,
}

impl Reading {
    /// Returns the origin that is read: queues or topics.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Describes the part that is not read and the known cause; `None` if all of it is read.
    ///
    /// Every queue needs a consumer at the broker. Of topics, at least one partition must be assigned: a standby
    /// process without partitions has a problem in this sense. An outage of an assigned source is known while the
    /// source repeats its error, at least every 30 s.
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
