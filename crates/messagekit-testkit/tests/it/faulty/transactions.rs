//! Faults of transactions, and of the events and positions in them.

use messagekit::adapter::{EventLinks, Markers, OutboxRows, Positions, TransactError};
use messagekit::{Claim, ErrorKind, Headers, Store};

use super::methods::{at_once, faults};
use super::store::Fault;
use super::{Row, Suite};

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// A commit rolls back and returns `Ok`.
    Store commit_keeps_the_row: set commit: |faulty, mut tx| Box::pin(faulty.inner.rollback(tx.take()));
    /// A rollback commits.
    Store rollback_leaves_no_row: set rollback: |faulty, mut tx| Box::pin(faulty.inner.commit(tx.take()));
    /// A dropped transaction commits.
    Store dropped_transaction_leaves_no_row: set drop: |faulty, tx| faulty.commit_now(tx);
    /// A commit after a failed statement returns `Ok`, as a bare `COMMIT` does.
    Store swallowed_error_fails_the_commit:
        set commit: |faulty, mut tx| Box::pin(async move {
            match faulty.inner.commit(tx.take()).await {
                Err(error) if error.kind() == ErrorKind::Aborted => Ok(()),
                committed => committed,
            }
        });
    /// The write of the offsets row does not report a failed statement.
    Store swallowed_error_fails_the_last_statement:
        call advance: |faulty, tx, consumer, positions| {
            match faulty.inner.advance(tx.inner(), consumer, positions).await {
                Err(error) if error.kind() == ErrorKind::Aborted => Ok(()),
                answer => answer,
            }
        };
    /// Work that ends with a commit is rolled back.
    Store transact_commits: set keeps: |_| false;
    /// Work that ends with a rollback is committed.
    Store transact_rolls_back: set keeps: |_| true;
    /// A begin that fails is reported as a commit that failed.
    Store transact_reports_begin_errors: set begin_error: |error| TransactError::Commit(error);
    /// A refused commit is reported as one with an unknown outcome.
    Store transact_reports_refused_commits: set commit_error: |error| TransactError::Unknown(error);
    /// Work that is dropped is committed.
    Store dropped_transact_leaves_no_row: set drop: |faulty, tx| faulty.commit_now(tx);
    /// Events are written without their headers.
    Store commit_makes_event_readable:
        arguments write: |_, messages| messages.iter_mut().for_each(|message| message.headers = Headers::new());
    /// Events are written at once, outside the transaction.
    Store rollback_leaves_no_event: call write: |faulty, _, messages| at_once!(faulty.write(messages));
    /// The events of one write are in reverse order.
    Store outbox_order_is_kept: arguments write: |_, messages| messages.reverse();
    /// Events are lost when the row is kept.
    Store events_and_rows_share_the_commit: call write: |_, _, _| Ok(());
    /// The links of an event stay among its headers.
    Store links_are_not_published:
        arguments write: |_, messages| {
            let linked = messages.iter_mut().filter(|message| !EventLinks::of(&message.headers).is_empty());
            linked.for_each(|message| message.headers.set("caused", "yes"));
        };
    /// Appended records are readable before their commit.
    Log append_is_seen_whole_after_its_commit:
        call write: |faulty, _, messages| at_once!(faulty.write(messages));
    /// A rolled back append leaves a record behind.
    Log rolled_back_append_takes_no_offset:
        call write: |faulty, tx, messages| {
            tx.appended.extend_from_slice(messages);
            faulty.inner.write(tx.inner(), messages).await
        };
        set rollback: |faulty, mut tx| Box::pin(async move {
            at_once!(faulty.write(&tx.appended))?;
            faulty.inner.rollback(tx.take()).await
        });
    /// A claim reads first and writes at the commit.
    Store concurrent_claims_yield_one_fresh:
        call claim: |faulty, tx, consumer, requests| {
            let known = |id| faulty.inner.marker(consumer, id).unwrap_or(Claim::Fresh);
            let answers: Vec<Claim> = requests.iter().map(|request| known(&request.id)).collect();
            let fresh = requests.iter().zip(&answers).filter(|(_, answer)| **answer == Claim::Fresh);
            tx.claims.extend(fresh.map(|(request, _)| (consumer.to_owned(), request.clone())));
            Ok(answers)
        };
        set commit: |faulty, mut tx| Box::pin(async move {
            for (consumer, claim) in std::mem::take(&mut tx.claims) {
                faulty.inner.claim(tx.inner(), &consumer, &[claim]).await?;
            }
            faulty.inner.commit(tx.take()).await
        });
    /// The last position wins.
    Store positions_only_grow:
        arguments advance: |faulty, _, positions| {
            let last = positions.iter().map(|position| (position.topic.clone(), position.next));
            faulty.notes().offsets.extend(last);
        };
        answer next_of: |faulty, noted| noted.iter_mut().for_each(|known| {
            known.next = faulty.notes().offsets.get(&known.topic).copied().unwrap_or(known.next);
        });
    /// Positions are written at once, outside the transaction.
    Store positions_share_the_commit:
        call advance: |faulty, _, consumer, positions| at_once!(faulty.advance(consumer, positions));
    /// All key lanes of a partition share a position.
    Store positions_are_kept_apart:
        arguments advance: |_, _, positions| positions.iter_mut().for_each(|position| position.key_lane = 0);
};
