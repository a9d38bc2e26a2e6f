//! Faults of in-flight attempts, primings and pings.

use messagekit::adapter::{Attempts, Priming, Primings};
use messagekit::{Error, ErrorKind, Store};
use messagekit_testkit::unique;

use super::methods::{at_once, faults};
use super::store::{Fault, FaultyStore};
use super::{Row, Suite, everybody};

fn note_priming(faulty: &FaultyStore, consumer: &str, priming: Priming) {
    faulty.notes().primings.insert(consumer.to_owned(), priming);
}

/// Returns the priming that the store has, changed by the one that was written last.
async fn priming_like_last(
    faulty: &FaultyStore,
    consumer: &str,
    change: fn(Priming, &mut Priming),
) -> Result<Option<Priming>, Error> {
    let mut kept = faulty.inner.priming(consumer).await?;
    let last = faulty.notes().primings.get(consumer).copied();
    if let (Some(last), Some(kept)) = (last, &mut kept) {
        change(last, kept);
    }
    Ok(kept)
}

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// Crashes are not counted.
    Store note_without_an_answer_counts_a_death: answer begin_attempt: |_, crashes| *crashes = 0;
    /// An in-flight attempt of this process counts as one of another process.
    Store own_attempt_counts_no_crash: arguments begin_attempt: |_, _, _, by| *by = unique("anybody");
    /// A withdrawn attempt still counts as a crash after another process has counted it.
    Store note_of_the_living_goes_with_them:
        call withdraw_attempt: |faulty, consumer, message, by| {
            match faulty.inner.begin_attempt(consumer, message, by).await? {
                0 => faulty.inner.withdraw_attempt(consumer, message, by).await,
                _ => Ok(()),
            }
        };
    /// Clearing attempts does nothing.
    Store cleared_attempts_are_forgotten: call clear_attempts: |_, _, _, _| Ok(());
    /// Attempts are cleared at once, outside the transaction.
    Store rolled_back_absolution_keeps_the_deaths:
        call clear_attempts: |faulty, _, consumer, message| {
            at_once!(faulty.clear_attempts(consumer, message))
        };
    /// Withdrawing an attempt does nothing.
    Store withdrawn_attempt_counts_no_crash: call withdraw_attempt: |_, _, _, _| Ok(());
    /// Withdrawing an attempt clears every attempt.
    Store standing_down_keeps_earlier_deaths:
        call withdraw_attempt: |faulty, consumer, message, _| {
            at_once!(faulty.clear_attempts(consumer, message))
        };
    /// Cleanup of attempts does nothing.
    Store cleanup_clears_attempts_of_finished_messages: call clear_finished_attempts: |_, _| Ok(());
    /// All consumers share their in-flight attempts.
    Store in_flight_attempts_belong_to_one_consumer:
        arguments begin_attempt: |_, consumer, _, _| *consumer = everybody();
        arguments clear_attempts: |_, consumer, _| *consumer = everybody();
        arguments withdraw_attempt: |_, consumer, _, _| *consumer = everybody();
    /// A priming is written at once, outside the transaction.
    Store primings_share_the_commit:
        call begin_priming: |faulty, _, consumer, after| at_once!(faulty.begin_priming(consumer, after));
        call write_priming: |faulty, _, consumer, priming| at_once!(faulty.write_priming(consumer, priming));
    /// The last frontier wins.
    Store frontier_never_goes_back:
        arguments write_priming: |faulty, consumer, priming| note_priming(faulty, consumer, *priming);
        call priming: |faulty, consumer| {
            priming_like_last(faulty, consumer, |last, kept| kept.frontier = last.frontier).await
        };
    /// A frontier continues a priming that is finished.
    Store finished_priming_stays_finished:
        arguments write_priming: |faulty, consumer, priming| note_priming(faulty, consumer, *priming);
        call priming: |faulty, consumer| {
            priming_like_last(faulty, consumer, |last, kept| kept.is_finished = last.is_finished).await
        };
    /// A priming begins behind the last one, whichever number was named.
    Store next_priming_begins_once_with_nothing:
        call begin_priming: |faulty, tx, consumer, _| {
            let last = faulty.inner.priming(consumer).await?.map_or(0, |last| last.number);
            faulty.inner.begin_priming(tx.inner(), consumer, last).await
        };
    /// A value of an earlier priming is written to the last one.
    Store earlier_priming_writes_nothing:
        call write_priming: |faulty, tx, consumer, priming| {
            let number = faulty.inner.priming(consumer).await?.map_or(0, |last| last.number);
            faulty.inner.write_priming(tx.inner(), consumer, Priming { number, ..priming }).await
        };
    /// All consumers share a priming.
    Store primings_are_kept_apart:
        arguments priming: |_, consumer| *consumer = everybody();
        arguments begin_priming: |_, consumer, _| *consumer = everybody();
        arguments write_priming: |_, consumer, _| *consumer = everybody();
    /// The database is reported as down.
    Store database_answers_pings:
        call ping: |_| Err(Error::new(ErrorKind::Unavailable, "the database does not answer"));
};
