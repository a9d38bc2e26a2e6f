//! Claims of messages: the processed markers.

use std::cmp::Reverse;

use messagekit::adapter::{ClaimRequest, stored_outcome};
use messagekit::{Claim, Error, ErrorKind};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};

use super::key_hash::key_hash;
use crate::SchemaName;
use crate::error::from_sqlx;

/// A row that is not returned has a marker, or a concurrent transaction committed one while this statement waited.
///
/// Every claim uses the byte order of the ids, so that two batches never deadlock.
pub(crate) const CLAIM: &str = r#"
INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome)
SELECT $1, b.id, messagekit.day_of(b.id), 'done' FROM unnest($2::text[]) AS b (id) ORDER BY b.id COLLATE "C"
ON CONFLICT DO NOTHING RETURNING message_id, outcome"#;

/// As [`CLAIM`], for messages whose keys may be blocked: those are claimed as held. A scalar subquery, because EXISTS
/// could be planned as a hash of all blocked keys, and that plan would be cached.
///
/// The parameters come from subqueries so that the plan is cached. The server counts the elements of an array parameter,
/// and looks a consumer up in the statistics of a table. It estimates a plan for these values as cheaper than a generic
/// one, for the consumer as soon as the table was analyzed while empty. It would then plan each time, which takes longer
/// than the claim.
pub(crate) const CLAIM_KEYED: &str = r#"
INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome)
SELECT $1, b.id, messagekit.day_of(b.id), CASE WHEN (
  SELECT true FROM messagekit.blocked_keys k WHERE k.consumer = (SELECT $1) AND k.topic = b.topic AND k.key_hash = b.key_hash)
  THEN 'held' ELSE 'done' END
FROM unnest((SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::bigint[])) AS b (id, topic, key_hash)
ORDER BY b.id COLLATE "C"
ON CONFLICT DO NOTHING RETURNING message_id, outcome"#;

/// As [`CLAIM`], for ranges that are processed again. Held and discarded markers are excluded in advance: DO UPDATE would
/// lock them before the handlers run, while resolving a failed message locks them after. NOT EXISTS could be planned as a
/// join over all markers of the consumer, and that plan would be cached.
pub(crate) const CLAIM_GENERATION: &str = r#"
INSERT INTO messagekit.processed_messages AS p (consumer, message_id, day, outcome, generation)
SELECT $1, b.id, messagekit.day_of(b.id), CASE WHEN (
  SELECT true FROM messagekit.blocked_keys k WHERE k.consumer = (SELECT $1) AND k.topic = b.topic AND k.key_hash = b.key_hash)
  THEN 'held' ELSE 'done' END, b.generation
FROM unnest((SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::bigint[]), (SELECT $5::int[]))
  AS b (id, topic, key_hash, generation)
WHERE (
  SELECT true FROM messagekit.processed_messages q
  WHERE q.consumer = (SELECT $1) AND q.message_id = b.id AND q.day = messagekit.day_of(b.id)
    AND (q.outcome <> 'done' OR q.generation >= b.generation)) IS NULL
ORDER BY b.id COLLATE "C"
ON CONFLICT ON CONSTRAINT processed_messages_pkey DO UPDATE
  SET outcome = excluded.outcome, generation = excluded.generation, earlier = p.generation, processed_at = now()
  WHERE p.outcome = 'done' AND p.generation < excluded.generation
RETURNING message_id, outcome"#;

/// Reads the markers of messages that were not fresh; a marker that is gone has no outcome. A scalar subquery for each:
/// for `= ANY` of an unknown array the server may scan all markers of the consumer, and that plan would be cached.
pub(crate) const LOOK: &str = "
SELECT b.id, (SELECT p.outcome FROM messagekit.processed_messages p
  WHERE p.consumer = (SELECT $1) AND p.message_id = b.id AND p.day = messagekit.day_of(b.id))
FROM unnest((SELECT $2::text[])) AS b (id)";

/// [`LOOK`], and once more the keys of messages to handle: a concurrent transaction may have parked an earlier message of
/// a key while the claim waited for it.
pub(crate) const LOOK_KEYED: &str = "
SELECT b.id, (SELECT p.outcome FROM messagekit.processed_messages p
  WHERE p.consumer = (SELECT $1) AND p.message_id = b.id AND p.day = messagekit.day_of(b.id))
FROM unnest((SELECT $2::text[])) AS b (id)
UNION ALL
SELECT NULL, 'held' FROM unnest((SELECT $3::text[]), (SELECT $4::bigint[])) AS b (topic, key_hash)
WHERE (SELECT true FROM messagekit.blocked_keys k WHERE k.consumer = (SELECT $1) AND k.topic = b.topic AND k.key_hash = b.key_hash)";

/// Undoes the claims of this transaction; restores markers of a smaller generation.
pub(crate) const UNCLAIM: &str = "
WITH back AS (
  UPDATE messagekit.processed_messages SET outcome = 'done', generation = earlier, earlier = NULL
  WHERE consumer = $1 AND message_id = ANY($2::text[]) AND outcome <> 'discarded' AND earlier IS NOT NULL
    AND xmin = pg_current_xact_id()::xid RETURNING 1),
gone AS (
  DELETE FROM messagekit.processed_messages
  WHERE consumer = $1 AND message_id = ANY($2::text[]) AND outcome <> 'discarded' AND earlier IS NULL
    AND xmin = pg_current_xact_id()::xid RETURNING 1)
SELECT (SELECT count(*) FROM back) + (SELECT count(*) FROM gone)";

/// Claims messages and returns the results in input order.
pub(crate) async fn claim(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    requests: &[ClaimRequest],
) -> Result<Vec<Claim>, Error> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let asked = Asked::of(requests);
    let mut found: Vec<Option<Claim>> = vec![None; asked.ids.len()];
    let rows = asked.claim(schema, consumer).fetch_all(&mut *connection).await;
    for row in rows.map_err(from_sqlx)? {
        let claim = match stored_outcome(row.try_get(1).map_err(from_sqlx)?).map(Claim::from)? {
            Claim::Held => Claim::KeyBlocked,
            _ => Claim::Fresh,
        };
        found[place_of(&asked.ids, &row)?] = Some(claim);
    }
    if found.contains(&None) {
        for row in asked.look(schema, consumer, &found).fetch_all(connection).await.map_err(from_sqlx)? {
            if row.try_get::<Option<&str>, _>(0).map_err(from_sqlx)?.is_none() {
                return Err(Error::new(ErrorKind::Conflict, "a key was held while its message was claimed"));
            }
            if let Some(text) = row.try_get(1).map_err(from_sqlx)? {
                found[place_of(&asked.ids, &row)?] = Some(stored_outcome(text)?.into());
            }
        }
    }
    let answer = |(index, request): (usize, &ClaimRequest)| {
        let place = asked.ids.binary_search(&request.id.as_str()).ok()?;
        Some(match found[place]? {
            claim if asked.firsts[place] == index => claim,
            Claim::Fresh => Claim::Done,
            Claim::KeyBlocked => Claim::Held,
            claim => claim,
        })
    };
    // A marker that was there and is gone was undone meanwhile: the next attempt finds the message fresh.
    let answers: Option<Vec<Claim>> = requests.iter().enumerate().map(answer).collect();
    answers.ok_or_else(|| Error::new(ErrorKind::Conflict, "marker vanished between claim and look"))
}

/// One copy of each id, in byte order: the first of those with the greatest generation, because processing before a range
/// does not settle a copy inside it.
struct Asked<'a> {
    requests: &'a [ClaimRequest],
    firsts: Vec<usize>,
    ids: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(requests: &'a [ClaimRequest]) -> Self {
        let mut firsts: Vec<usize> = (0..requests.len()).collect();
        // Stable, so the first copy stays the first.
        firsts.sort_by_key(|index| (requests[*index].id.as_str(), Reverse(requests[*index].generation)));
        firsts.dedup_by_key(|index| requests[*index].id.as_str());
        let ids = firsts.iter().map(|index| requests[*index].id.as_str()).collect();
        Self { requests, firsts, ids }
    }

    fn all<T>(&self, of: impl Fn(&'a ClaimRequest) -> T) -> Vec<T> {
        self.firsts.iter().map(|index| of(&self.requests[*index])).collect()
    }

    fn claim(&self, schema: &SchemaName, consumer: &'a str) -> Query<'a, Postgres, PgArguments> {
        let is_keyed = self.requests.iter().any(|request| request.key.is_some());
        let is_again = self.requests.iter().any(|request| request.generation != 0);
        let text = match (is_again, is_keyed) {
            (true, _) => CLAIM_GENERATION,
            (false, true) => CLAIM_KEYED,
            (false, false) => CLAIM,
        };
        let claim = sqlx::query(schema.sql(text)).bind(consumer).bind(self.ids.clone());
        if text == CLAIM {
            return claim;
        }
        let claim = claim
            .bind(self.all(|request| &*request.topic))
            .bind(self.all(|request| request.key.as_deref().map(key_hash)));
        if is_again { claim.bind(self.all(|request| request.generation)) } else { claim }
    }

    /// Reads the markers of messages that were not fresh, and again the keys of fresh ones.
    fn look(
        &self,
        schema: &SchemaName,
        consumer: &'a str,
        found: &[Option<Claim>],
    ) -> Query<'a, Postgres, PgArguments> {
        let others: Vec<&str> = std::iter::zip(&self.ids, found)
            .filter(|(_, claim)| claim.is_none())
            .map(|(id, _)| *id)
            .collect();
        let mut keys: Vec<(&str, i64)> = std::iter::zip(&self.firsts, found)
            .filter(|(_, claim)| **claim == Some(Claim::Fresh))
            .filter_map(|(index, _)| {
                let request = &self.requests[*index];
                Some((&*request.topic, key_hash(request.key.as_deref()?)))
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return sqlx::query(schema.sql(LOOK)).bind(consumer).bind(others);
        }
        let (topics, hashes): (Vec<&str>, Vec<i64>) = keys.into_iter().unzip();
        sqlx::query(schema.sql(LOOK_KEYED)).bind(consumer).bind(others).bind(topics).bind(hashes)
    }
}

/// Returns the index of a row's id among the requested ids.
fn place_of(ids: &[&str], row: &PgRow) -> Result<usize, Error> {
    let id: &str = row.try_get(0).map_err(from_sqlx)?;
    ids.binary_search(&id)
        .map_err(|_| Error::new(ErrorKind::Corrupt, "claim answered an id that nobody asked for"))
}

/// Undoes claims of this transaction that were fresh or behind their keys.
pub(crate) async fn unclaim(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    requests: &[ClaimRequest],
) -> Result<(), Error> {
    let mut ids: Vec<&str> = requests.iter().map(|request| request.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let take_back = sqlx::query_scalar(schema.sql(UNCLAIM)).bind(consumer).bind(&ids);
    let taken: i64 = take_back.fetch_one(connection).await.map_err(from_sqlx)?;
    if usize::try_from(taken) == Ok(ids.len()) {
        return Ok(());
    }
    // A claim that stays would commit as done without a run.
    Err(Error::new(ErrorKind::Other, "a claim to take back is not of this transaction")
        .with("claims", ids.len())
        .with("taken_back", taken))
}
