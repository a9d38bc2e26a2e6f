//! Runs commands over the topics of a database.

mod answer;
mod definitions;
mod records;
mod refusal;
mod views;

#[cfg(doc)]
use messagekit::ErrorKind;
use messagekit_topics::Error;
use messagekit_topics::operations::TopicOperations;

pub use answer::{Answer, AnswerColumn, ColumnType};

use crate::Command;

/// Runs one command, and returns its rows.
///
/// What a statement leaves out is as in a topic that takes records from anywhere: `CREATE TOPIC` makes one partition, which keeps records for
/// 7 days and at most 1 GiB of them; `CONSUME` begins behind the last record, and returns at most 100.
///
/// # Errors
/// Those of [`TopicOperations`]. [`ErrorKind::WrongState`] for a topic that exists already, and for `ACK` without a partition on a topic that
/// has several.
pub async fn run(topics: &dyn TopicOperations, command: &Command) -> Result<Answer, Error> {
    match command {
        Command::CreateTopic(create) => definitions::create(topics, create).await,
        Command::DropTopic(drop) => definitions::drop(topics, drop).await,
        Command::ClearTopic { topic } => definitions::clear(topics, topic).await,
        Command::SetRetention { topic, retention } => {
            definitions::set_retention(topics, topic, retention).await
        }
        Command::ClearRetention { topic } => definitions::clear_retention(topics, topic).await,
        Command::AddSource(source) => definitions::add_source(topics, source).await,
        Command::DropSource(source) => definitions::drop_source(topics, source).await,
        Command::Consume(consume) => records::consume(topics, consume).await,
        Command::Acknowledge(acknowledge) => records::acknowledge(topics, acknowledge).await,
        Command::ResetGroup(reset) => records::reset(topics, reset).await,
        Command::DropGroup(drop) => records::drop_group(topics, drop).await,
        Command::ShowTopics => views::show_topics(topics).await,
        Command::ShowRoutes { topic } => views::show_routes(topics, topic.as_deref()).await,
        Command::Select(select) => views::select(topics, select).await,
    }
}

impl Command {
    /// Returns whether it only moves records, as a service does: `CONSUME` and `ACK`. All others are for administrators.
    pub fn is_for_services(&self) -> bool {
        matches!(self, Self::Consume(_) | Self::Acknowledge(_))
    }

    /// Returns the group that `CONSUME`, `ACK` or `RESET CONSUMER GROUP` makes if it does not exist.
    pub fn used_group(&self) -> Option<&str> {
        match self {
            Self::Consume(consume) => consume.group_id.as_deref(),
            Self::Acknowledge(acknowledge) => Some(&acknowledge.group),
            Self::ResetGroup(reset) => Some(&reset.group),
            _ => None,
        }
    }

    /// Returns whether it changes a topic, its sources or what a group has settled, other than `CONSUME` and `ACK` do.
    pub fn is_change(&self) -> bool {
        let is_read = matches!(self, Self::ShowTopics | Self::ShowRoutes { .. } | Self::Select(_));
        !is_read && !self.is_for_services()
    }
}
