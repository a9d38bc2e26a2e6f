//! Rows that operators' tools read, decoded once for all stores. The statements of a store name each column as its field is named.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::event_history::{EventFailure, LinkedEvent, Publication, PublicationState, UnpublishedEvent};
use crate::failed_messages::{
    FailedMessage, FailedMessageGroup, FailedMessageHead, FailedMessageState, FailedMessageTotal, FailedRun,
    Origin, StateReason,
};
use crate::message::EventLinks;
use crate::relay::RejectedEvent;
use crate::replay::{ConsumerEvents, EventFilter, EventHead, ReplayIds, ReplayJob, ReplayOrder, ReplayState};
use crate::status::{ConsumerPosition, StateCount, UnhandledMessages};
use crate::store::{ReceivedMessage, headers_from_json};
use crate::{Error, ErrorKind, Message, MessageId, Position};

/// A row of a statement, whose columns have names. An adapter converts the types of its database.
pub trait OperatorRow: Sized {
    /// Returns a number, or a truth value as 0 or 1.
    ///
    /// # Errors
    /// An error of the database for a column that the row does not have, or whose type differs. A retry does not help.
    fn number(&self, column: &str) -> Result<Option<i64>, Error>;

    /// Returns a text.
    ///
    /// # Errors
    /// As [`number`](Self::number).
    fn text(&self, column: &str) -> Result<Option<String>, Error>;

    /// Returns a list of texts.
    ///
    /// # Errors
    /// As [`number`](Self::number).
    fn texts(&self, column: &str) -> Result<Option<Vec<String>>, Error>;

    /// Returns bytes, or a text as bytes.
    ///
    /// # Errors
    /// As [`number`](Self::number).
    fn bytes(&self, column: &str) -> Result<Option<Vec<u8>>, Error>;

    /// Returns a time.
    ///
    /// # Errors
    /// As [`number`](Self::number).
    fn time(&self, column: &str) -> Result<Option<Timestamp>, Error>;

    /// Returns a value, which is absent only where the type is an `Option`.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] with the column for a value that this program does not know, or that is absent. A retry does not
    /// help.
    fn get<T: Stored>(&self, column: &str) -> Result<T, Error> {
        T::stored(self, column)?.ok_or_else(|| unknown(self, column))
    }

    /// Returns what the whole row holds.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn read<T: Stored>(&self) -> Result<T, Error> {
        self.get("row")
    }
}

/// A value in a column of a row, or in several columns, whose names it knows.
pub trait Stored: Sized {
    /// Reads the value, or `None` if it is absent.
    ///
    /// # Errors
    /// As [`OperatorRow::get`].
    fn stored(row: &impl OperatorRow, column: &str) -> Result<Option<Self>, Error>;
}

fn unknown(row: &impl OperatorRow, column: &str) -> Error {
    numbered(row, Error::new(ErrorKind::Corrupt, format!("stored row has an unknown value in {column}")))
}

fn numbered(row: &impl OperatorRow, error: Error) -> Error {
    // Not every row has a number.
    if let Ok(Some(id)) = row.number("id") { error.with("id", id) } else { error }
}

impl<T: Stored> Stored for Option<T> {
    fn stored(row: &impl OperatorRow, column: &str) -> Result<Option<Self>, Error> {
        T::stored(row, column).map(Some)
    }
}

/// A value with the consumer that it belongs to.
impl<T: Stored> Stored for (String, T) {
    fn stored(row: &impl OperatorRow, _: &str) -> Result<Option<Self>, Error> {
        Ok(Some((row.get("consumer")?, row.read()?)))
    }
}

macro_rules! columns {
    ($($type:ty: $read:ident, $convert:expr;)+) => {
        $(impl Stored for $type {
            fn stored(row: &impl OperatorRow, column: &str) -> Result<Option<Self>, Error> {
                let value = row.$read(column)?.map($convert).transpose();
                value.map_err(|cause| unknown(row, column).caused_by(cause))
            }
        })+
    };
}

columns! {
    i64: number, Ok::<_, Error>;
    i32: number, Self::try_from;
    u32: number, Self::try_from;
    u64: number, |number| Ok::<_, Error>(number.unsigned_abs());
    bool: number, |number| Ok::<_, Error>(number != 0);
    String: text, Ok::<_, Error>;
    Arc<str>: text, Self::try_from;
    MessageId: text, |text| Ok::<_, Error>(Self::from_stored(&text));
    FailedMessageState: text, |word| word.parse();
    Origin: text, |word| word.parse();
    StateReason: text, |word| word.parse();
    ReplayIds: text, |word| word.parse();
    ReplayState: text, |word| word.parse();
    Vec<String>: texts, Ok::<_, Error>;
    Bytes: bytes, Self::try_from;
    Timestamp: time, Ok::<_, Error>;
}

macro_rules! rows {
    ($($row:ident: $name:ident { $($field:ident)+ $(; $($other:ident: $value:expr),+)? })+) => {
        $(impl Stored for $name {
            fn stored($row: &impl OperatorRow, _: &str) -> Result<Option<Self>, Error> {
                Ok(Some(Self { $($field: $row.get(stringify!($field))?,)+ $($($other: $value,)+)? }))
            }
        })+
    };
}

rows! {
    row: FailedMessageHead {
        id consumer origin return_to message_id topic position key event_type state reason attempts crash_count due
        kind error fingerprint set_aside_at changed_at parked payload_bytes;
        holds_back: row.get::<Option<u64>>("holds_back")?.unwrap_or_default()
    }
    row: FailedMessage {
        head received;
        failed_runs: FailedRun::list(&row.get::<String>("failed_runs")?).map_err(|error| numbered(row, error))?
    }
    row: FailedMessageTotal { consumer state failed_messages }
    row: FailedMessageGroup { fingerprint consumer event_type kind error failed_messages first last newest }
    row: EventHead { event_id event_type topic key copies created_at payload_bytes }
    row: EventLinks { correlation_id causation_id replay_of }
    row: LinkedEvent { event_id event_type topic key created_at links }
    row: EventFailure { consumer reason at }
    row: UnpublishedEvent { event_id event_type topic key attempts ready_at is_delayed }
    row: ConsumerEvents { consumer events }
    row: ReplayJob { id order state events published ordered_by ordered_at changed_at error }
    row: ReplayOrder { filter ids per_second; count: None }
    row: EventFilter { event_type topic key from; to: row.get("until")? }
    row: ConsumerPosition { topic partition next behind }
    row: StateCount { state failed_messages }
    row: UnhandledMessages { topic event_type similar messages first_at last_at }
    // A relay rejects rows whose columns no reader can represent: the list shows them, too.
    row: RejectedEvent {
        id payload_bytes attempts error rejected_at behind;
        event_id: row.get("event_id").unwrap_or_else(|_| MessageId::from_stored("")),
        topic: row.get("topic").unwrap_or_default(),
        event_type: row.get("event_type").unwrap_or_default(),
        key: row.get::<Option<Bytes>>("key")?.map(|key| String::from_utf8_lossy(&key).into_owned()),
        created_at: row.get("created_at").or_else(|_| row.get("rejected_at"))?
    }
}

impl Stored for Position {
    fn stored(row: &impl OperatorRow, _: &str) -> Result<Option<Self>, Error> {
        let topic: Option<Arc<str>> = row.get("position_topic")?;
        let (partition, offset) = (row.get::<Option<i32>>("partition")?, row.get::<Option<i64>>("offset")?);
        let Some((partition, offset)) = partition.zip(offset) else { return Ok(None) };
        Ok(Some(Self { topic: topic.map_or_else(|| row.get("topic"), Ok)?, partition, offset }))
    }
}

impl Stored for ReceivedMessage {
    fn stored(row: &impl OperatorRow, _: &str) -> Result<Option<Self>, Error> {
        let mut message = Message::new(row.get::<Arc<str>>("topic")?, row.get::<Bytes>("payload")?);
        message.key = row.get("key")?;
        let headers = row.get::<Bytes>("headers")?;
        message.headers = headers_from_json(headers).map_err(|error| numbered(row, error))?;
        Ok(Some(Self { id: row.get("message_id")?, message, position: row.get("position")? }))
    }
}

impl Stored for Publication {
    fn stored(row: &impl OperatorRow, _: &str) -> Result<Option<Self>, Error> {
        Ok(Some(match (row.get("rejected_at")?, row.get("available_at")?) {
            (at @ Some(_), _) => Self {
                state: PublicationState::Rejected,
                at,
                attempts: row.get("refusals")?,
                rejected: row.get("rejected")?,
                error: row.get("error")?,
            },
            (None, Some(due)) if row.get("is_delayed")? => Self::delayed(due),
            (None, Some(since)) => Self::pending(row.get("attempts")?, since),
            (None, None) => Self::published(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A row of texts; a column that is not there is absent.
    struct Texts(BTreeMap<&'static str, &'static str>);

    impl Texts {
        fn parsed<T: std::str::FromStr>(&self, column: &str) -> Result<Option<T>, Error> {
            Ok(self.0.get(column).and_then(|text| text.parse().ok()))
        }
    }

    impl OperatorRow for Texts {
        fn number(&self, column: &str) -> Result<Option<i64>, Error> {
            self.parsed(column)
        }

        fn text(&self, column: &str) -> Result<Option<String>, Error> {
            self.parsed(column)
        }

        fn texts(&self, column: &str) -> Result<Option<Vec<String>>, Error> {
            Ok(self.text(column)?.map(|text| vec![text]))
        }

        fn bytes(&self, column: &str) -> Result<Option<Vec<u8>>, Error> {
            Ok(self.text(column)?.map(String::into_bytes))
        }

        fn time(&self, column: &str) -> Result<Option<Timestamp>, Error> {
            self.parsed(column)
        }
    }

    #[test]
    fn a_value_that_is_unknown_or_absent_is_corrupt_and_named() {
        let row = Texts([("id", "7"), ("state", "lost"), ("partition", "4294967296")].into());
        for (error, cause) in [
            (row.get::<FailedMessageState>("state").unwrap_err(), "state \"lost\" is none of"),
            (row.get::<i32>("partition").unwrap_err(), "out of range"),
            (row.get::<String>("consumer").unwrap_err(), "in consumer"),
        ] {
            assert_eq!((error.kind(), error.context("id")), (ErrorKind::Corrupt, Some("7")));
            assert!(crate::chain(&error).contains(cause), "{}", crate::chain(&error));
        }
        assert_eq!(row.get::<Option<String>>("consumer").unwrap(), None);
    }

    #[test]
    fn a_position_has_its_own_topic_or_the_one_of_its_message() {
        let columns = [("topic", "orders"), ("partition", "1"), ("offset", "5")];
        let position = |own: &[(&'static str, &'static str)]| {
            let row = Texts(columns.iter().chain(own).copied().collect());
            row.get::<Option<Position>>("position").unwrap().map(|position| position.topic.to_string())
        };
        assert_eq!(position(&[]).as_deref(), Some("orders"));
        assert_eq!(position(&[("position_topic", "retries")]).as_deref(), Some("retries"));
        assert_eq!(Texts([("topic", "orders")].into()).get::<Option<Position>>("position").unwrap(), None);
    }

    #[test]
    fn a_publication_is_what_the_relay_last_did() {
        let at = ("available_at", "2026-01-01T00:00:00Z");
        for (columns, state) in [
            (vec![], PublicationState::Published),
            (vec![at, ("attempts", "2"), ("is_delayed", "0")], PublicationState::Pending),
            (vec![at, ("is_delayed", "1")], PublicationState::Delayed),
            (
                vec![at, ("rejected_at", "2026-01-01T00:00:00Z"), ("refusals", "1"), ("rejected", "3")],
                PublicationState::Rejected,
            ),
        ] {
            let publication: Publication = Texts(columns.into_iter().collect()).read().unwrap();
            assert_eq!(publication.state, state);
        }
    }
}
