//! The topics of a minikafka file.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use messagekit::{Error as CoreError, ErrorKind, Store};
use messagekit_sqlite::SqliteStore;
use messagekit_sqlite::rusqlite::{self, Connection, OpenFlags, Row};
use serde_json::Value;

use crate::{Error, Topic, Topics, parse_json};

/// How long the import may keep other programs from writing.
const LONGEST: Duration = Duration::from_secs(3_600);

/// How much an import brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinikafkaImport {
    /// The topics that were made.
    pub topics: usize,
    /// The records that were appended.
    pub records: usize,
}

/// The topics and records of a minikafka file, in memory.
pub struct MinikafkaFile {
    topics: Vec<OldTopic>,
    /// In the order of their ids.
    messages: Vec<OldMessage>,
}

struct OldTopic {
    name: String,
    schema: String,
    /// A JSON list, or null.
    dedup: Option<String>,
}

struct OldMessage {
    id: i64,
    topic: String,
    payload: String,
    is_handled: bool,
}

impl MinikafkaFile {
    /// Reads a file that minikafka has written.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without the file, and [`ErrorKind::Corrupt`] for a file that minikafka has not written.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let unreadable = |error: rusqlite::Error| {
            let text = "no minikafka file: its tables topics and messages cannot be read";
            CoreError::new(ErrorKind::Corrupt, text).with("path", path.display()).caused_by(error)
        };
        if !path.is_file() {
            return Err(CoreError::new(ErrorKind::NotFound, "no such minikafka file")
                .with("path", path.display())
                .into());
        }
        let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(unreadable)?;
        // One snapshot: a message is not read without its topic.
        let snapshot = conn.unchecked_transaction().map_err(unreadable)?;
        let topic =
            |row: &Row<'_>| Ok(OldTopic { name: row.get(0)?, schema: row.get(1)?, dedup: row.get(2)? });
        let message = |row: &Row<'_>| {
            Ok(OldMessage {
                id: row.get(0)?,
                topic: row.get(1)?,
                payload: row.get(2)?,
                is_handled: row.get(3)?,
            })
        };
        let topics = snapshot
            .prepare("SELECT name, schema_json, dedup_fields FROM topics ORDER BY created_at, name")
            .and_then(|mut select| select.query_map([], topic)?.collect())
            .map_err(unreadable)?;
        let messages = snapshot
            .prepare("SELECT id, topic, payload_json, status = 'handled' FROM messages ORDER BY id")
            .and_then(|mut select| select.query_map([], message)?.collect())
            .map_err(unreadable)?;
        Ok(Self { topics, messages })
    }
}

impl fmt::Debug for MinikafkaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MinikafkaFile")
            .field("topics", &self.topics.len())
            .field("records", &self.messages.len())
            .finish()
    }
}

impl Topics<SqliteStore> {
    /// Makes the topics of a minikafka file and appends their records, all records in one transaction. Records that minikafka had handled
    /// are handled by the consumer `default`. The records have new ids and the time of the import.
    ///
    /// # Errors
    /// [`ErrorKind::WrongState`] if one of the topics has records, perhaps of an earlier import. Then no record is imported, and topics that
    /// this call made stay, empty.
    pub async fn import_minikafka(&self, old: &MinikafkaFile) -> Result<MinikafkaImport, Error> {
        let patient = SqliteStore::options().transaction_timeout(LONGEST).open(self.store().path()).await?;
        let topics = Self::of(patient);
        let appended = append(&topics, old).await;
        topics.close().await?;
        appended?;
        Ok(MinikafkaImport { topics: old.topics.len(), records: old.messages.len() })
    }
}

async fn append(topics: &Topics<SqliteStore>, old: &MinikafkaFile) -> Result<(), Error> {
    let mut open = Vec::new();
    for topic in &old.topics {
        open.push(make(topics, topic).await?);
    }
    let store = topics.store();
    let mut tx = store.begin().await?;
    for message in &old.messages {
        let Some(topic) = open.iter().find(|topic| topic.name() == message.topic) else {
            let text = "message of a topic that the minikafka file does not have";
            return Err(CoreError::new(ErrorKind::Corrupt, text).with("message", message.id).into());
        };
        let here = |error: Error| CoreError::from(error).with("message", message.id);
        let data = parse_json(&message.payload).map_err(here)?;
        let id = topic.as_text().append_in(&mut tx, &data).await.map_err(here)?;
        if message.is_handled {
            topic.set_handled_in(&mut tx, id).await.map_err(here)?;
        }
    }
    // The write lock is held since the first append: no other import can have come between.
    for topic in &open {
        refuse_filled(topic).await?;
    }
    Ok(store.commit(tx).await?)
}

async fn make(topics: &Topics<SqliteStore>, old: &OldTopic) -> Result<Topic<Value, SqliteStore>, Error> {
    let unreadable = |error: serde_json::Error| {
        let text = "topic of the minikafka file has rules that cannot be read";
        CoreError::new(ErrorKind::Corrupt, text).with("topic", &old.name).caused_by(error)
    };
    let schema: Value = serde_json::from_str(&old.schema).map_err(unreadable)?;
    let dedup: Option<Vec<String>> =
        old.dedup.as_deref().map_or(Ok(None), serde_json::from_str).map_err(unreadable)?;
    let name = old.name.as_str();
    let topic = topics.described(name, schema).dedup(dedup.unwrap_or_default()).open().await;
    let topic = topic.map_err(|error| CoreError::from(error).with("minikafka_topic", name))?;
    refuse_filled(&topic).await?;
    Ok(topic)
}

/// Refuses a topic with records: an earlier import may have appended them.
async fn refuse_filled(topic: &Topic<Value, SqliteStore>) -> Result<(), Error> {
    if topic.count().await?.all == 0 {
        return Ok(());
    }
    let text = "topic has records already, perhaps of an earlier import: nothing was imported, name another database";
    Err(CoreError::new(ErrorKind::WrongState, text).with("topic", topic.name()).into())
}
