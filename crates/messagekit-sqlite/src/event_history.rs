//! Looks up events of the file.

use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    EventHistory, EventRecord, LinkedEvent, MAX_ENTRIES, PublisherMode, PublisherState, UnpublishedEvent,
    chosen_by,
};
use messagekit::{Error, MessageId};
use rusqlite::Connection;

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::tables::{event_links, event_record, micros, now, replay_jobs, shards, unpublished};

/// How many of the newest replays are compared with an event.
const REPLAYS: u32 = 200;
/// The time for a relay's restart.
const RESTART: Duration = Duration::from_secs(30);

/// An event is a record of its topic, or is delayed. A delayed one is found by its id, and by its links when it is due.
impl EventHistory for SqliteStore {
    fn event_record<'a>(&'a self, id: &'a MessageId) -> BoxFuture<'a, Result<EventRecord, Error>> {
        let id = id.clone();
        Box::pin(self.query(move |conn| record(conn, &id)))
    }

    fn linked_events<'a>(
        &'a self,
        ids: &'a [MessageId],
        causes: &'a [MessageId],
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LinkedEvent>, Error>> {
        let (ids, causes) = (ids.to_vec(), causes.to_vec());
        Box::pin(self.query(move |conn| {
            let mut events = Vec::new();
            for id in &ids {
                events.extend(event_links::by_id(conn, id)?);
            }
            for cause in &causes {
                events.extend(event_links::by_link(conn, event_links::BY_CAUSATION, cause, limit)?);
            }
            Ok(event_links::in_order(events, limit))
        }))
    }

    fn correlated_events<'a>(
        &'a self,
        correlation: &'a MessageId,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LinkedEvent>, Error>> {
        let id = correlation.clone();
        Box::pin(self.query(move |conn| {
            let mut events = event_links::by_link(conn, event_links::BY_CORRELATION, &id, limit)?;
            events.extend(event_links::by_id(conn, &id)?);
            Ok(event_links::in_order(events, limit))
        }))
    }

    fn unpublished_events(&self, limit: u32) -> BoxFuture<'_, Result<Vec<UnpublishedEvent>, Error>> {
        Box::pin(self.query(move |conn| unpublished::list(conn, limit)))
    }
}

fn record(conn: &Connection, id: &MessageId) -> Result<EventRecord, Error> {
    let event = event_record::event(conn, id)?;
    let failed_messages = event_record::failed_messages(conn, id)?;
    let replays = match &event {
        None => Vec::new(),
        Some(event) => {
            let mut replays = replay_jobs::list(conn, None, REPLAYS)?;
            replays.retain(|job| chosen_by(&job.order.filter, job.ordered_at, &event.head));
            replays.truncate(MAX_ENTRIES as usize);
            replays
        }
    };
    let of_messages: Vec<i64> = failed_messages.iter().map(|head| head.id).collect();
    let of_replays: Vec<i64> = replays.iter().map(|job| job.id).collect();
    Ok(EventRecord {
        publisher: publisher(conn).map_err(from_sqlite)?,
        outcomes: event_record::outcomes(conn, id)?,
        failures: event_record::failures(conn, id)?,
        republications: event_links::by_link(conn, event_links::BY_REPLAY, id, MAX_ENTRIES)?,
        actions: event_record::actions(conn, &of_messages, &of_replays, id)?,
        event,
        failed_messages,
        replays,
    })
}

pub(crate) fn publisher(conn: &Connection) -> rusqlite::Result<PublisherState> {
    if !shards::any_topic_leaves(conn)? {
        return Ok(PublisherState { mode: Some(PublisherMode::Local), has_relay: None, confirmed_at: None });
    }
    let now = now();
    let has_relay = shards::last_life(conn, now)?.is_some_and(|until| until > now - micros(RESTART));
    Ok(PublisherState { mode: Some(PublisherMode::Relay), has_relay: Some(has_relay), confirmed_at: None })
}
