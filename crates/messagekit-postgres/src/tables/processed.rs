//! The markers that make effects happen once.

use messagekit::{Claim, ClaimRequest, Error, ErrorKind};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

/// Rows that are not returned have a marker, or a rival had one open and has committed it while this waited.
///
/// Everybody claims in the order of the ids' bytes, so that two batches never wait for each other.
pub(crate) const CLAIM: &str = r#"
INSERT INTO messagekit.processed_messages (consumer, message_id, outcome)
SELECT $1, b.id, 'done' FROM unnest($2::text[]) AS b (id) ORDER BY b.id COLLATE "C"
ON CONFLICT DO NOTHING RETURNING message_id"#;

/// The same for ranges that are processed again. Held and discarded markers are left out beforehand: DO UPDATE would lock
/// them before the handlers, while whoever resolves a letter locks them after. NOT EXISTS could be planned as a join over
/// all markers of the consumer, and that plan would be kept.
pub(crate) const CLAIM_GENERATION: &str = r#"
INSERT INTO messagekit.processed_messages AS p (consumer, message_id, outcome, generation)
SELECT $1, b.id, 'done', b.generation FROM unnest($2::text[], $3::int[]) AS b (id, generation)
WHERE (
  SELECT true FROM messagekit.processed_messages q
  WHERE q.consumer = $1 AND q.message_id = b.id AND (q.outcome <> 'done' OR q.generation >= b.generation)) IS NULL
ORDER BY b.id COLLATE "C"
ON CONFLICT (consumer, message_id) DO UPDATE
  SET outcome = excluded.outcome, generation = excluded.generation, processed_at = now()
  WHERE p.outcome = 'done' AND p.generation < excluded.generation
RETURNING message_id"#;

/// Looks at the markers of what was not fresh.
pub(crate) const LOOK: &str = "
SELECT message_id, outcome FROM messagekit.processed_messages WHERE consumer = $1 AND message_id = ANY($2::text[])";

/// Takes back what this transaction wrote, and nothing that stood there before.
pub(crate) const UNCLAIM: &str = "
DELETE FROM messagekit.processed_messages
WHERE consumer = $1 AND message_id = ANY($2::text[]) AND outcome = 'done' AND xmin = pg_current_xact_id()::xid";

/// Claims messages and answers in input order.
pub(crate) async fn claim(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    requests: &[ClaimRequest],
) -> Result<Vec<Claim>, Error> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    // The first copy of each id, sorted; the sort is stable.
    let mut firsts: Vec<usize> = (0..requests.len()).collect();
    firsts.sort_by_key(|index| requests[*index].id.as_str());
    firsts.dedup_by_key(|index| requests[*index].id.as_str());
    let ids: Vec<&str> = firsts.iter().map(|index| requests[*index].id.as_str()).collect();
    let mut found: Vec<Option<Claim>> = vec![None; ids.len()];

    let rows = if requests.iter().all(|request| request.generation == 0) {
        sqlx::query(schema.sql(CLAIM)).bind(consumer).bind(&ids).fetch_all(&mut *connection).await
    } else {
        let generations: Vec<i32> = firsts.iter().map(|index| requests[*index].generation).collect();
        let claim = sqlx::query(schema.sql(CLAIM_GENERATION)).bind(consumer).bind(&ids).bind(generations);
        claim.fetch_all(&mut *connection).await
    };
    for row in rows.map_err(from_sqlx)? {
        found[place_of(&ids, &row)?] = Some(Claim::Fresh);
    }
    if found.contains(&None) {
        let others: Vec<&str> =
            std::iter::zip(&ids, &found).filter(|(_, claim)| claim.is_none()).map(|(id, _)| *id).collect();
        let rows = sqlx::query(schema.sql(LOOK)).bind(consumer).bind(others).fetch_all(connection).await;
        for row in rows.map_err(from_sqlx)? {
            found[place_of(&ids, &row)?] = Some(outcome(row.try_get(1).map_err(from_sqlx)?)?);
        }
    }
    let answer = |(index, request): (usize, &ClaimRequest)| {
        let place = ids.binary_search(&request.id.as_str()).ok()?;
        match found[place]? {
            Claim::Fresh if firsts[place] != index => Some(Claim::Done),
            claim => Some(claim),
        }
    };
    // A marker that was there and is gone was taken back meanwhile: the next try finds the message fresh.
    let answers: Option<Vec<Claim>> = requests.iter().enumerate().map(answer).collect();
    answers.ok_or_else(|| Error::new(ErrorKind::Conflict, "marker vanished between claim and look"))
}

/// Returns where the id of a row stands among those that were asked for.
fn place_of(ids: &[&str], row: &PgRow) -> Result<usize, Error> {
    let id: &str = row.try_get(0).map_err(from_sqlx)?;
    ids.binary_search(&id)
        .map_err(|_| Error::new(ErrorKind::Corrupt, "claim answered an id that nobody asked for"))
}

fn outcome(text: &str) -> Result<Claim, Error> {
    match text {
        "done" => Ok(Claim::Done),
        "held" => Ok(Claim::Held),
        "discarded" => Ok(Claim::Discarded),
        other => {
            Err(Error::new(ErrorKind::Corrupt, format!("marker has the outcome {other:?}, which is none")))
        }
    }
}

/// Takes back claims that were fresh in this transaction.
///
/// A claim of a greater generation loses the older marker with it; that is safe, because its message is claimed again
/// before anything behind it is finished.
pub(crate) async fn unclaim(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    requests: &[ClaimRequest],
) -> Result<(), Error> {
    let mut ids: Vec<&str> = requests.iter().map(|request| request.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let delete = sqlx::query(schema.sql(UNCLAIM)).bind(consumer).bind(&ids);
    let deleted = delete.execute(connection).await.map_err(from_sqlx)?.rows_affected();
    if usize::try_from(deleted) == Ok(ids.len()) {
        return Ok(());
    }
    // One that stays would commit as done without having run.
    Err(Error::new(ErrorKind::Other, "a claim to take back is not of this transaction")
        .with("claims", ids.len())
        .with("taken_back", deleted))
}
