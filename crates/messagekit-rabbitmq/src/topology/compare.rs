//! Compares existing queues and exchanges with the required ones.
//!
//! The protocol has no query for the arguments of a queue. But the broker refuses a second declaration with the first
//! argument that differs and its current value. The comparison declares again with that value until nothing differs.
//! The client logs each refusal as an error, so nothing that would be refused is sent if all is well.

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, Connection, ExchangeKind};
use messagekit::Error;

use super::queue::Arguments;
use crate::error::{ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, channel_code, unavailable};
use crate::link;

/// The state of a queue or exchange at the broker.
pub(crate) enum Found {
    Absent,
    /// The differences as text, and the actual arguments.
    Declared {
        differences: Vec<String>,
        arguments: Arguments,
    },
    /// It exists, and the user lacks the right to query more.
    Hidden,
}

/// More rounds than there are arguments.
const ROUNDS: usize = 24;

/// The treatment of a missing queue or exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfAbsent {
    /// It is created. Then only a difference is refused, so the client has no error to log.
    Declare,
    Report,
}

/// Compares a queue with its requirement.
///
/// # Errors
/// Transient if the broker does not answer.
pub(crate) async fn queue(
    connection: &Connection,
    name: &str,
    mut wanted: Arguments,
    absent: IfAbsent,
) -> Result<Found, Error> {
    if absent == IfAbsent::Report && !has_queue(connection, name).await? {
        return Ok(Found::Absent);
    }
    let mut options = QueueDeclareOptions::durable();
    let mut differences = Vec::new();
    for _ in 0..ROUNDS {
        // A refused declaration ends its channel.
        let declared = on_channel(connection, async |channel| {
            channel.queue_declare(name.into(), options, table(&wanted)).await
        });
        let Err(error) = declared.await? else {
            return Ok(Found::Declared { differences, arguments: wanted });
        };
        match channel_code(&error) {
            Some(ACCESS_REFUSED) if has_queue(connection, name).await? => return Ok(Found::Hidden),
            Some(PRECONDITION_FAILED) => {}
            _ => return Err(failed(error)),
        }
        let said = error.to_string();
        let Some(difference) = Difference::read(&said) else {
            differences.push(format!("is declared otherwise: {said}"));
            return Ok(Found::Declared { differences, arguments: wanted });
        };
        differences.push(difference.to_string());
        let is_true = difference.current.as_deref() == Some("true");
        match difference.name.as_str() {
            "durable" => options.durable = is_true,
            "auto_delete" => options.auto_delete = is_true,
            name => match difference.value() {
                Some(value) => drop(wanted.insert(name.to_owned(), value)),
                None => drop(wanted.remove(name)),
            },
        }
    }
    Ok(Found::Declared { differences, arguments: wanted })
}

/// Compares an exchange with its requirement.
///
/// # Errors
/// Transient if the broker does not answer.
pub(crate) async fn exchange(
    connection: &Connection,
    name: &str,
    kind: &ExchangeKind,
    absent: IfAbsent,
) -> Result<Found, Error> {
    if absent == IfAbsent::Report && !has_exchange(connection, name).await? {
        return Ok(Found::Absent);
    }
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = on_channel(connection, async |channel| {
        channel.exchange_declare(name.into(), kind.clone(), options, FieldTable::default()).await
    });
    let differences = match declared.await? {
        Ok(()) => Vec::new(),
        Err(error) => match channel_code(&error) {
            Some(ACCESS_REFUSED) if has_exchange(connection, name).await? => return Ok(Found::Hidden),
            Some(PRECONDITION_FAILED) => {
                let said = error.to_string();
                vec![
                    Difference::read(&said)
                        .map_or(format!("is declared otherwise: {said}"), |found| found.to_string()),
                ]
            }
            _ => return Err(failed(error)),
        },
    };
    Ok(Found::Declared { differences, arguments: Arguments::new() })
}

/// Returns whether a queue of this name exists.
///
/// # Errors
/// As [`queue`].
pub(crate) async fn has_queue(connection: &Connection, name: &str) -> Result<bool, Error> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    is_there(
        on_channel(connection, async |channel| {
            channel.queue_declare(name.into(), passive, FieldTable::default()).await
        })
        .await?,
    )
}

/// Returns whether an exchange of this name exists, of any kind.
///
/// # Errors
/// As [`queue`].
pub(super) async fn has_exchange(connection: &Connection, name: &str) -> Result<bool, Error> {
    let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    is_there(
        on_channel(connection, async |channel| {
            channel.exchange_declare(name.into(), ExchangeKind::Topic, passive, FieldTable::default()).await
        })
        .await?,
    )
}

fn is_there<T>(answer: lapin::Result<T>) -> Result<bool, Error> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if channel_code(&error) == Some(NOT_FOUND) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// Sends a request on its own channel.
async fn on_channel<T>(
    connection: &Connection,
    ask: impl AsyncFnOnce(&Channel) -> lapin::Result<T>,
) -> Result<lapin::Result<T>, Error> {
    let channel = connection.create_channel().await.map_err(failed)?;
    let answer = ask(&channel).await;
    link::close_channel(&channel).await;
    Ok(answer)
}

fn failed(error: lapin::Error) -> Error {
    unavailable("rabbitmq did not answer what is declared", error)
}

fn table(arguments: &Arguments) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        if let Ok(name) = ShortString::try_new(name.as_str()) {
            table.insert(name, value.clone());
        }
    }
    table
}

/// One argument that differs, with the broker's name for it.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    name: String,
    wanted: Option<String>,
    current: Option<String>,
}

impl Difference {
    /// Reads `inequivalent arg 'NAME' for …: received … but current is …`, where a value is `none`, `'true'`, or
    /// `the value 'TEXT' of type 'TYPE'`.
    fn read(said: &str) -> Option<Self> {
        let (_, said) = said.split_once("inequivalent arg '")?;
        let (name, said) = said.split_once('\'')?;
        let (_, said) = said.split_once("received ")?;
        let (wanted, current) = said.split_once(" but current is ")?;
        Some(Self { name: name.to_owned(), wanted: value(wanted)?, current: value(current)? })
    }

    fn value(&self) -> Option<AMQPValue> {
        let text = self.current.as_ref()?;
        Some(match (text.parse::<i64>(), text.as_str()) {
            (Ok(number), _) => AMQPValue::LongLongInt(number),
            (_, "true") => AMQPValue::Boolean(true),
            (_, "false") => AMQPValue::Boolean(false),
            (_, text) => AMQPValue::LongString(LongString::from(text.as_bytes().to_vec())),
        })
    }
}

fn value(said: &str) -> Option<Option<String>> {
    if said.trim_end().starts_with("none") {
        return Some(None);
    }
    let (_, rest) = said.split_once('\'')?;
    let (text, _) = rest.split_once('\'')?;
    Some(Some(text.to_owned()))
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
        write!(f, "{} is {} and should be {}", self.name, shown(&self.current), shown(&self.wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_broker_says_is_read() {
        for (said, name, wanted, current) in [
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'q' in vhost '/': received the value '5' of type 'long' but current is the value '3' of type 'signedint'",
                "x-delivery-limit",
                Some("5"),
                Some("3"),
            ),
            (
                "inequivalent arg 'x-overflow' for queue 'q' in vhost '/': received none but current is the value 'reject-publish' of type 'longstr'",
                "x-overflow",
                None,
                Some("reject-publish"),
            ),
            (
                "inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received the value '5' of type 'long' but current is none",
                "x-max-length",
                Some("5"),
                None,
            ),
            (
                "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
                "durable",
                Some("true"),
                Some("false"),
            ),
        ] {
            let found = Difference::read(said).expect(said);
            assert_eq!(
                (found.name.as_str(), found.wanted.as_deref(), found.current.as_deref()),
                (name, wanted, current)
            );
        }
        assert_eq!(Difference::read("ACCESS_REFUSED"), None);
    }
}
