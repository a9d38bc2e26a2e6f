//! The clock of the server against the clock here.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use messagekit::Error;
use messagekit::operations::{CLOCK_DIFFERS, Diagnosis, Repair};
use sqlx::PgConnection;

use super::target::Target;
use crate::migrations::connection::fault;

/// A difference that machines with a time service do not reach.
const TOLERATED: Duration = Duration::from_secs(5);

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    let (asked, before) = (Instant::now(), Timestamp::now());
    let select = sqlx::query_scalar("SELECT clock_timestamp()").persistent(false);
    let there: jiff_sqlx::Timestamp = select.fetch_one(conn).await.map_err(fault)?;
    if let Some(text) = difference(before, there.to_jiff(), asked.elapsed()) {
        let repair =
            "set the clock of the machine that is wrong, and let a time service such as chrony keep it";
        diagnosis.found(&CLOCK_DIFFERS, &target.name, text, [Repair::Manual(repair.to_owned())]);
    }
    Ok(())
}

/// Compares a time that was read somewhere between `before` and `before + took`.
fn difference(before: Timestamp, there: Timestamp, took: Duration) -> Option<String> {
    let ahead = there.duration_since(before).as_millis() - i128::try_from(took.as_millis()).unwrap_or(0);
    let behind = before.duration_since(there).as_millis();
    let tolerated = i128::try_from(TOLERATED.as_millis()).unwrap_or(0);
    let (by, way) = if ahead > tolerated { (ahead, "ahead of") } else { (behind, "behind") };
    (by > tolerated).then(|| {
        format!(
            "the clock of the database is {} s {way} the clock here: {there} there, {before} here",
            by / 1_000
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_is_no_difference() {
        let here: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        let there = |text: &str| text.parse::<Timestamp>().unwrap();
        let moment = Duration::from_millis(1);
        assert_eq!(difference(here, there("2026-01-31T08:00:04Z"), moment), None);
        assert_eq!(difference(here, there("2026-01-31T08:00:09Z"), Duration::from_secs(9)), None);
        let ahead = difference(here, there("2026-01-31T08:01:00Z"), moment).unwrap();
        assert!(ahead.contains("59 s ahead of"), "{ahead}");
        let behind = difference(here, there("2026-01-31T07:59:00Z"), Duration::from_secs(9)).unwrap();
        assert!(behind.contains("60 s behind"), "{behind}");
    }
}
