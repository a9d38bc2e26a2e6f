//! The events of a command.

use jiff::Timestamp;
use messagekit::operations::EventFilter;

use crate::input::moment;

/// The options that select events.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Chosen {
    /// Only those of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only those of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only those with exactly this key
    #[arg(long)]
    key: Option<String>,
    /// Only those written at or after this time, by the database's clock: 2026-01-31T12:00:00Z, 2026-01-31, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// Only those written at or before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Timestamp>,
}

impl Chosen {
    pub(super) fn filter(self) -> EventFilter {
        let Self { event_type, topic, key, from, to } = self;
        EventFilter { event_type, topic, key, from, to }
    }
}
