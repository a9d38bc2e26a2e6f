//! What every cell uses: the event, the topic, the check afterwards.

use std::path::Path;

use messagekit::{Envelope, Event, Message, codec};
use messagekit_sqlite::rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// About 1 KiB of JSON that does not compress to nothing.
#[derive(Event, Serialize, Deserialize)]
#[event(type = "bench.event.made", key = "account")]
pub(crate) struct Made {
    pub(crate) account: String,
    pub(crate) number: u64,
    pub(crate) text: String,
}

pub(crate) const ACCOUNTS: usize = 1_000;
pub(crate) const TOPIC: &str = Made::TOPIC;

/// Encodes `n` events of [`ACCOUNTS`] accounts.
pub(crate) fn messages(n: usize) -> Outcome<Vec<Message>> {
    (0..n)
        .map(|number| {
            let text: String =
                (0..48).map(|word| format!("{:016x} ", number.wrapping_mul(0x9e37_79b9 + word))).collect();
            let made =
                Made { account: format!("account-{}", number % ACCOUNTS), number: number as u64, text };
            Ok(codec::encode(&Envelope::new(made), "bench")?)
        })
        .collect()
}

pub(crate) fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("bench.db")
}

/// Opens a connection as a careful user would.
pub(crate) fn connect(folder: &Path) -> Outcome<Connection> {
    let connection = Connection::open(database(folder))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Fails when a table does not hold `wanted` rows with as many different values.
pub(crate) fn check(folder: &Path, table: &str, column: &str, wanted: usize) -> Outcome<()> {
    let sql = format!("SELECT count(*), count(DISTINCT {column}) FROM {table}");
    let (rows, different) =
        connect(folder)?.query_row(&sql, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let wanted = i64::try_from(wanted)?;
    if (rows, different) == (wanted, wanted) {
        return Ok(());
    }
    Err(format!("void: {table} holds {rows} rows and {different} different ones instead of {wanted}").into())
}
