//! A year of a real shop's invoices through outbox, log and consumer in one SQLite file, while the consumer is killed.
//!
//! `cargo run --release -p messagekit-demo` writes 25,900 invoices like an order service: the order's row and its
//! event in one transaction. A tenth of the transactions is rolled back, and some records are delivered twice. A
//! billing service in a separate process handles the events. It is killed by SIGKILL five times while it has work. It
//! cannot handle adjustments at all, so these become dead letters.
//!
//! The output comes from [`verdict`], which reads the tables and a ledger outside the database. It does not use the
//! counters of the services.
//!
//! # Files
//!
//! The order service writes the table `orders`, the billing service `bills`, `balances` and `billing_runs`. With
//! `--keep DIR`, the files stay in `DIR`: `DIR/shop.db`, `DIR/billing.log` and `DIR/ledger.ndjson`. The ledger
//! contains the ids of committed, rolled back and repeated transactions, and the unfinished work of each kill.
//!
//! A kept run can be judged again, for example after a change to a bill:
//!
//! ```no_run
//! # async fn again() -> Result<(), messagekit::Error> {
//! use messagekit_demo::{Outcome, verdict};
//!
//! assert_eq!(verdict("demo-run".as_ref()).await?.outcome(), Outcome::Kept);
//! # Ok(())
//! # }
//! ```
//!
//! # Input
//!
//! `--input FILE.ndjson` reads events instead of the invoices: one `{"type": …, "key": …, "data": {…}}` per line,
//! where `key` is the customer and may be `null` or absent. `shop.invoice.placed`, `shop.invoice.cancelled` and
//! `shop.invoice.adjusted` need `invoice` (text) and `totalPence` (an integer) in their data. Other types keep their
//! data as written; billing ignores and counts them. A tenth of the events is rolled back here too. An invalid line
//! is reported by its number, the others run, and the exit code is 1.
//!
//! # The JSON form
//!
//! `--json` prints one object on standard output and nothing else there:
//!
//! | name | meaning |
//! |---|---|
//! | `verdict` | `kept`, `broken`, or `void`: nothing broken, but fewer than 3 kills with work unfinished or no duplicate |
//! | `written` | rows in `orders` |
//! | `rolled_back` | transactions that were rolled back, according to the ledger |
//! | `published` | records in the topic |
//! | `handled` | messages marked as processed with their effect |
//! | `ignored` | records of types that billing does not know |
//! | `duplicates_delivered`, `duplicates_suppressed` | records that repeat an id; those of them without a second effect |
//! | `dead_letters` | failed messages that only an operator can retry |
//! | `pence_ordered`, `pence_billed`, `pence_set_aside` | sums of the orders, of the bills, and of the orders whose events are dead letters |
//! | `kills` | SIGKILLs that left work unfinished and a start of the service without an end |
//! | `events_per_second`, `elapsed_ms` | `published` over the time from the first order to the last bill; that time |
//! | `slowed` | whether billing was slowed down, because a small run would end before a kill |
//! | `seed` | the seed of rollbacks, duplicates and kills |
//! | `promises` | a list of `{"name", "promise", "outcome", "statistics"}`; `outcome` is `kept`, `broken` or `void` |
//! | `bad_lines` | a list of `{"line", "reason"}` |
//! | `kept_in` | the folder of `--keep`, or `null` |
//!
//! The promises are named `billed_once`, `nothing_of_rolled_back`, `published_exactly`, `sums_equal`,
//! `duplicates_suppressed`, `order_kept`, `dead_letters_exact`, `killed_at_work` and `delivered_twice`.
//!
//! # Exit codes
//!
//! 0 if every promise held; 1 if one was broken, the run is void, a line of the input is invalid or an error
//! occurred; 2 for a usage error; 130 after an interrupt.

mod accounts;
mod billing_service;
mod events;
mod input;
mod invoices;
mod judge;
mod ledger;
mod options;
mod order_service;
mod plan;
mod progress;
mod promise;
mod report;
mod run;
mod schedule;
mod statistics;
mod supervisor;
mod text;
mod verdict;

pub use input::BadLine;
pub use options::Options;
pub use promise::{Outcome, Promise};
pub use run::run;
pub use statistics::Statistics;
pub use verdict::{Verdict, verdict};
