//! The ids of records in defined topics, kept for neighbours together.

use rusqlite::{Connection, OptionalExtension, Params, Result, Row};

/// Neighbours in a partition with neighbouring ids.
#[derive(Clone, Copy, Debug)]
struct Run {
    first_id: i64,
    topic: i64,
    pos: i64,
    length: i64,
}

/// Returns the id that the next record gets.
pub(crate) fn next(conn: &Connection) -> Result<i64> {
    Ok(last(conn)?.map_or(1, |run| run.first_id + run.length))
}

/// Gives the next ids to records, in order: (topic, position) of each.
pub(crate) fn add(conn: &Connection, records: impl IntoIterator<Item = (i64, i64)>) -> Result<()> {
    let known = last(conn)?;
    let next = known.map_or(1, |run| run.first_id + run.length);
    let mut runs = Vec::from_iter(known);
    for (first_id, (topic, pos)) in (next..).zip(records) {
        match runs.last_mut() {
            Some(run) if run.topic == topic && run.pos + run.length == pos => run.length += 1,
            _ => runs.push(Run { first_id, topic, pos, length: 1 }),
        }
    }
    for run in runs {
        match known {
            Some(known) if known.first_id == run.first_id => {
                if known.length < run.length {
                    lengthen(conn, run)?;
                }
            }
            _ => insert(conn, run)?,
        }
    }
    Ok(())
}

/// Gives ids to the records that a topic had before it was defined.
pub(crate) fn add_existing(conn: &Connection, topic: i64) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO messagekit_record_ids (first_id, topic_id, pos, length)
         SELECT ?2 + coalesce(sum(next_offset - log_start) OVER
                  (ORDER BY partition ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0),
           topic_id, (id << 40) | log_start, next_offset - log_start
         FROM messagekit_topic_partitions WHERE topic_id = ?1 AND next_offset > log_start",
    )?
    .execute((topic, next(conn)?))
    .map(drop)
}

/// Returns the topic and position of an id.
pub(crate) fn position(conn: &Connection, id: i64) -> Result<Option<(i64, i64)>> {
    let found = find(conn, "WHERE first_id <= ?1 ORDER BY first_id DESC", [id])?;
    let inside = found.filter(|run| id - run.first_id < run.length);
    Ok(inside.map(|run| (run.topic, run.pos + (id - run.first_id))))
}

/// Returns the id of a position.
pub(crate) fn of_position(conn: &Connection, pos: i64) -> Result<Option<i64>> {
    let found = find(conn, "WHERE pos <= ?1 ORDER BY pos DESC", [pos])?;
    Ok(found.filter(|run| pos - run.pos < run.length).map(|run| run.first_id + (pos - run.pos)))
}

fn last(conn: &Connection) -> Result<Option<Run>> {
    find(conn, "ORDER BY first_id DESC", [])
}

/// Returns the first run that a condition and an order select.
fn find(conn: &Connection, selection: &str, params: impl Params) -> Result<Option<Run>> {
    let run = |row: &Row<'_>| {
        Ok(Run { first_id: row.get(0)?, topic: row.get(1)?, pos: row.get(2)?, length: row.get(3)? })
    };
    conn.prepare_cached(&format!(
        "SELECT first_id, topic_id, pos, length FROM messagekit_record_ids {selection} LIMIT 1"
    ))?
    .query_row(params, run)
    .optional()
}

fn insert(conn: &Connection, run: Run) -> Result<()> {
    let Run { first_id, topic, pos, length } = run;
    conn.prepare_cached(
        "INSERT INTO messagekit_record_ids (first_id, topic_id, pos, length) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((first_id, topic, pos, length))
    .map(drop)
}

fn lengthen(conn: &Connection, run: Run) -> Result<()> {
    conn.prepare_cached("UPDATE messagekit_record_ids SET length = ?2 WHERE first_id = ?1")?
        .execute((run.first_id, run.length))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::steps::{MIGRATIONS, run as migrate};

    fn file() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        migrate(&conn, MIGRATIONS).unwrap();
        conn
    }

    fn rows(conn: &Connection) -> i64 {
        conn.query_row("SELECT count(*) FROM messagekit_record_ids", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn ids_count_from_one_and_lead_there_and_back() {
        let conn = file();
        let records = [(1, 100), (1, 101), (2, 500), (1, 102), (1, 103), (3, 7)];
        add(&conn, records[..3].to_vec()).unwrap();
        add(&conn, records[3..].to_vec()).unwrap();
        for (id, (topic, pos)) in (1..).zip(records) {
            assert_eq!(position(&conn, id).unwrap(), Some((topic, pos)));
            assert_eq!(of_position(&conn, pos).unwrap(), Some(id));
        }
        assert_eq!((position(&conn, 0).unwrap(), position(&conn, 7).unwrap()), (None, None));
        assert_eq!((of_position(&conn, 99).unwrap(), of_position(&conn, 104).unwrap()), (None, None));
        assert_eq!(next(&conn).unwrap(), 7);
    }

    #[test]
    fn neighbours_of_many_appends_are_one_row() {
        let conn = file();
        for pos in 0..1_000 {
            add(&conn, [(1, pos)]).unwrap();
        }
        assert_eq!((rows(&conn), position(&conn, 1_000).unwrap()), (1, Some((1, 999))));
        add(&conn, []).unwrap();
        assert_eq!((rows(&conn), next(&conn).unwrap()), (1, 1_001));
    }
}
