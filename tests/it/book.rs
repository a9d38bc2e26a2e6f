//! The output of the order service, kept outside its process: the truth that the file is compared with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use messagekit_testkit::ledger::{self, Entry, Ledger};

/// The result of handling an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Placed,
    /// Its first run fails.
    Shaky,
    /// Each of its runs fails.
    Spoiled,
}

/// The outcome of an order, as its service reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The service crashed before it had an answer.
    Unknown,
    Committed,
    RolledBack,
}

/// An order whose transaction was ended.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) event_id: String,
    pub(crate) pence: i64,
    pub(crate) kind: Kind,
    /// The number of times that its event was written.
    pub(crate) copies: usize,
    pub(crate) outcome: Outcome,
}

/// The orders by number, and the ledger on disk. A clone is another handle.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    path: PathBuf,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug)]
struct Pages {
    ledger: Ledger,
    orders: BTreeMap<i64, Order>,
}

impl Book {
    /// Creates a book with its ledger in a folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let path = folder.join("ledger.ndjson");
        let ledger = Ledger::open(&path).expect("a ledger can be written");
        Self { path, pages: Arc::new(Mutex::new(Pages { ledger, orders: BTreeMap::new() })) }
    }

    /// Records a line of the order service.
    pub(crate) fn hear(&self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |word: &str| word.parse::<i64>().unwrap_or_else(|_| panic!("{line:?} names no number"));
        match words[..] {
            ["begin", order, event_id, pence, kind, copies] => {
                let kind = match kind {
                    "placed" => Kind::Placed,
                    "shaky" => Kind::Shaky,
                    "spoiled" => Kind::Spoiled,
                    _ => panic!("{line:?} names no kind"),
                };
                let (event_id, pence) = (event_id.to_owned(), number(pence));
                let copies = copies.parse().unwrap_or_else(|_| panic!("{line:?} names no copies"));
                self.begin(number(order), Order { event_id, pence, kind, copies, outcome: Outcome::Unknown });
            }
            ["committed", order] => self.end(number(order), Outcome::Committed),
            ["rolled-back", order] => self.end(number(order), Outcome::RolledBack),
            ["rolled-back", order, why] => {
                println!("order {order} was refused: {why}");
                self.end(number(order), Outcome::RolledBack);
            }
            _ => panic!("{line:?} is not what an order service says"),
        }
    }

    fn begin(&self, number: i64, order: Order) {
        let mut pages = self.lock();
        pages
            .ledger
            .record(ledger::Kind::Asked, &number.to_string(), order.pence)
            .expect("the ledger can be written");
        assert!(pages.orders.insert(number, order).is_none(), "order {number} began twice");
    }

    fn end(&self, number: i64, outcome: Outcome) {
        let mut pages = self.lock();
        let Pages { ledger, orders } = &mut *pages;
        let order = orders.get_mut(&number).unwrap_or_else(|| panic!("order {number} ended and never began"));
        assert_eq!(order.outcome, Outcome::Unknown, "order {number} ended twice");
        order.outcome = outcome;
        let kind = match outcome {
            Outcome::Committed => ledger::Kind::Confirmed,
            Outcome::RolledBack => ledger::Kind::Withdrawn,
            Outcome::Unknown => return,
        };
        ledger.record(kind, &number.to_string(), order.pence).expect("the ledger can be written");
    }

    /// Returns the first number after the recorded ones: the file contains no greater one.
    pub(crate) fn next_number(&self) -> i64 {
        self.lock().orders.last_key_value().map_or(1, |(number, _)| number + 1)
    }

    /// Returns a copy of the orders.
    pub(crate) fn orders(&self) -> BTreeMap<i64, Order> {
        self.lock().orders.clone()
    }

    /// Reads the ledger back from the disk.
    pub(crate) fn ledger(&self) -> Vec<Entry> {
        Ledger::read(&self.path).expect("the ledger can be read")
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().expect("nobody panics with the book in hand")
    }
}
