//! One account per message id: its entry in the ledger, and its number of rows in each table.

use std::collections::HashMap;
use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;

use messagekit::log::{Log, Page, PartitionStart};
use messagekit::operations::{FailedMessageFilter, FailedMessageState, FailedMessages};
use messagekit::{Error, Event as _, headers};
use messagekit_sqlite::SqliteStore;

use crate::billing_service::CONSUMER;
use crate::events::{BILLED, InvoiceAdjusted, TOPIC};
use crate::ledger::{self, Entry, Kill};

/// The end of a transaction according to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Committed,
    RolledBack,
}

/// How billing treats an event of this type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    Billed,
    Adjustment,
    /// Billing does not know the type.
    #[default]
    Foreign,
}

/// All facts about one id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// `None` if the ledger does not contain the id.
    pub(crate) fate: Option<Fate>,
    /// Duplicates that the order service appended on purpose.
    pub(crate) again: u32,
    pub(crate) kind: Kind,
    pub(crate) orders: u32,
    pub(crate) ordered_pence: i64,
    pub(crate) records: u32,
    /// Processed markers with any outcome.
    pub(crate) markers: u32,
    /// Processed markers of applied messages.
    pub(crate) done: u32,
    pub(crate) bills: u32,
    pub(crate) billed_pence: i64,
    /// Failed messages in any state.
    pub(crate) failed_messages: u32,
    /// Failed messages that only an operator can retry.
    pub(crate) dead: u32,
}

impl Account {
    /// Returns the number of tables that contain it.
    pub(crate) fn traces(&self) -> usize {
        let tables = [self.orders, self.records, self.markers, self.bills, self.failed_messages];
        tables.into_iter().filter(|rows| *rows > 0).count()
    }
}

/// The contents of the ledger and of the tables at the end of a run.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    by_id: HashMap<String, Account>,
    pub(crate) kills: Vec<Kill>,
    /// Records without an id.
    pub(crate) nameless: u64,
    /// Records that the consumer has not read.
    pub(crate) unread: u64,
    /// Bills that were written before one of an earlier order of the same customer.
    pub(crate) out_of_order: u64,
    /// Bills whose order can be checked: those with a customer.
    pub(crate) in_an_order: u64,
    /// Customers whose balance differs from the sum of their orders.
    pub(crate) wrong_balances: u64,
    /// Starts of the billing service without an end.
    pub(crate) cut_off: u64,
}

impl Accounts {
    /// Reads the ledger and all tables.
    pub(crate) async fn read(store: &SqliteStore, ledger: &Path) -> Result<Self, Error> {
        let mut accounts = Self::default();
        ledger::read(ledger, |entry| accounts.note(entry))?;
        accounts.read_orders(store).await?;
        accounts.read_records(store).await?;
        accounts.read_markers(store).await?;
        accounts.read_bills(store).await?;
        accounts.read_failed_messages(store).await?;
        accounts.compare(store).await?;
        Ok(accounts)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Account> {
        self.by_id.values()
    }

    fn of(&mut self, id: &str) -> &mut Account {
        if !self.by_id.contains_key(id) {
            self.by_id.insert(id.to_owned(), Account::default());
        }
        self.by_id.get_mut(id).expect("it was just put there")
    }

    fn note(&mut self, entry: Entry) {
        match entry {
            Entry::Committed(id) => self.of(id.as_str()).fate = Some(Fate::Committed),
            Entry::RolledBack(id) => self.of(id.as_str()).fate = Some(Fate::RolledBack),
            Entry::Duplicated(id) => self.of(id.as_str()).again += 1,
            Entry::Killed(kill) => self.kills.push(kill),
        }
    }

    async fn read_orders(&mut self, store: &SqliteStore) -> Result<(), Error> {
        let rows = store.read(|c| {
            c.query_all("SELECT event_id, event_type, pence FROM orders", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
        });
        let rows: Vec<(String, String, i64)> = rows.await?;
        for (id, event_type, pence) in rows {
            let account = self.of(&id);
            account.orders += 1;
            account.ordered_pence += pence;
            account.kind = match event_type.as_str() {
                known if BILLED.contains(&known) => Kind::Billed,
                InvoiceAdjusted::TYPE => Kind::Adjustment,
                _ => Kind::Foreign,
            };
        }
        Ok(())
    }

    /// Reads the topic from end to end, like any other reader of the log.
    async fn read_records(&mut self, store: &SqliteStore) -> Result<(), Error> {
        let topic: Arc<str> = TOPIC.into();
        let bounds = store.bounds(&topic).await?;
        let partitions: Vec<_> =
            bounds.iter().map(|bounds| (bounds.partition, PartitionStart::Earliest)).collect();
        let mut reader = Log::open(store, &topic, &partitions).await?;
        let mut unfinished = partitions.len();
        while unfinished > 0 {
            match poll_fn(|cx| reader.poll_page(1_000, cx)).await? {
                Page::Records(records) => {
                    for record in records {
                        match record.message.headers.text(headers::ID) {
                            Some(id) => self.of(id).records += 1,
                            None => self.nameless += 1,
                        }
                    }
                }
                Page::End { .. } => unfinished -= 1,
                // Nothing of this run is deleted, so a missing record is missing in its account.
                Page::Gone { .. } => {}
            }
        }
        let handled = "SELECT coalesce(sum(cursor.next), 0)
             FROM messagekit_consumer_cursors cursor JOIN messagekit_consumers c ON c.id = cursor.consumer_id
             WHERE c.name = ?1";
        let handled: i64 = store.read(|c| c.query_row(handled, [CONSUMER], |row| row.get(0))).await?;
        self.unread = (bounds.iter().map(|bounds| bounds.end).sum::<i64>() - handled).unsigned_abs();
        Ok(())
    }

    async fn read_markers(&mut self, store: &SqliteStore) -> Result<(), Error> {
        let markers = "SELECT m.message_id, m.outcome = 0
             FROM messagekit_processed_messages m JOIN messagekit_consumers c ON c.id = m.consumer_id
             WHERE c.name = ?1";
        let rows = store.read(|c| c.query_all(markers, [CONSUMER], |row| Ok((row.get(0)?, row.get(1)?))));
        let rows: Vec<(String, bool)> = rows.await?;
        for (id, done) in rows {
            let account = self.of(&id);
            account.markers += 1;
            account.done += u32::from(done);
        }
        Ok(())
    }

    async fn read_bills(&mut self, store: &SqliteStore) -> Result<(), Error> {
        let bills = "SELECT event_id, pence FROM bills";
        let rows = store.read(|c| c.query_all(bills, [], |row| Ok((row.get(0)?, row.get(1)?))));
        let rows: Vec<(String, i64)> = rows.await?;
        for (id, pence) in rows {
            let account = self.of(&id);
            account.bills += 1;
            account.billed_pence += pence;
        }
        Ok(())
    }

    async fn read_failed_messages(&mut self, store: &SqliteStore) -> Result<(), Error> {
        const PAGE: u32 = 500;
        let mut filter =
            FailedMessageFilter { consumer: Some(CONSUMER.to_owned()), ..FailedMessageFilter::default() };
        loop {
            let page = store.list(&filter, PAGE).await?;
            for failed_message in &page {
                let account = self.of(failed_message.message_id.as_str());
                account.failed_messages += 1;
                account.dead += u32::from(failed_message.state == FailedMessageState::Dead);
            }
            match page.last() {
                Some(last) => filter.before = Some(last.id),
                None => return Ok(()),
            }
        }
    }

    /// Compares the tables of the two services, and the starts of billing with their ends.
    async fn compare(&mut self, store: &SqliteStore) -> Result<(), Error> {
        let found = store.read(|c| {
            let (in_an_order, out_of_order) = c.query_row(
                "SELECT count(*), coalesce(sum(earlier > ordered), 0) FROM (
                   SELECT o.seq AS ordered, lag(o.seq) OVER (PARTITION BY b.customer ORDER BY b.seq) AS earlier
                   FROM bills b JOIN orders o ON o.event_id = b.event_id WHERE b.customer IS NOT NULL)",
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
            )?;
            let wrong_balances: i64 = c.query_row(
                "SELECT count(*) FROM (
                   SELECT customer FROM (
                     SELECT customer, pence FROM orders WHERE customer IS NOT NULL AND event_type IN (?1, ?2)
                     UNION ALL SELECT customer, -pence FROM balances)
                   GROUP BY customer HAVING sum(pence) <> 0)",
                BILLED,
                |row| row.get(0),
            )?;
            let cut_off: i64 =
                c.query_row("SELECT count(*) FROM billing_runs WHERE NOT stopped", [], |row| row.get(0))?;
            Ok([in_an_order, out_of_order, wrong_balances, cut_off].map(i64::unsigned_abs))
        });
        [self.in_an_order, self.out_of_order, self.wrong_balances, self.cut_off] = found.await?;
        Ok(())
    }
}
