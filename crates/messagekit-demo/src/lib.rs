//! A year of a real shop's invoices through outbox, log and consumer in one SQLite file, while the consumer is killed.
//!
//! `cargo run --release -p messagekit-demo` writes 25,900 invoices as an order service would: the order's row and its event
//! in one transaction. A tenth of the transactions is rolled back, some records are delivered twice. A billing service in a
//! process of its own handles the events and is ended by SIGKILL five times while it has work. It cannot handle adjustments
//! at all, so these become dead letters.
//!
//! What is printed at the end comes from [`verdict`], a pass of its own over the tables and over a ledger outside the
//! database; what the services counted while they worked is not asked.
//!
//! # What is where
//!
//! The order service writes the table `orders`, the billing service `bills`, `balances` and `billing_runs`. With `--keep DIR`
//! they stay in `DIR/shop.db`, beside `DIR/ledger.ndjson` (which transactions were committed, rolled back or delivered again,
//! by id, and what each kill left unfinished) and `DIR/billing.log`.
//!
//! A kept run can be judged again, for example after somebody has changed a bill:
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
//! `--input FILE.ndjson` takes events instead of the invoices: one `{"type": …, "key": …, "data": {…}}` per line, where `key`
//! is the customer and may be `null` or absent. `shop.invoice.placed`, `shop.invoice.cancelled` and `shop.invoice.adjusted`
//! need `invoice` (text) and `totalPence` (a whole number) in their data; other types are carried as they are, and billing
//! ignores and counts them. A tenth of the events is rolled back here too. A bad line is reported by its number, the others
//! run, and the exit code is 1.
//!
//! # The JSON form
//!
//! `--json` prints one object on standard output and nothing else there:
//!
//! | name | meaning |
//! |---|---|
//! | `verdict` | `kept`, `broken`, or `void`: nothing broken, but fewer than 3 kills with work unfinished or no duplicate |
//! | `written` | rows in `orders` |
//! | `rolled_back` | transactions that were given up, as the ledger says |
//! | `published` | records in the topic |
//! | `handled` | messages marked as processed with their effect |
//! | `ignored` | records of types that billing does not know |
//! | `duplicates_delivered`, `duplicates_suppressed` | records that repeat an id; those of them without a second effect |
//! | `dead_letters` | failed messages that only a person brings back |
//! | `pence_ordered`, `pence_billed`, `pence_set_aside` | sums of the orders, of the bills, and of the orders whose events are dead letters |
//! | `kills` | SIGKILLs that left work unfinished and a start of the service without an end |
//! | `events_per_second`, `elapsed_ms` | `published` over the time from the first order to the last bill; that time |
//! | `slowed` | whether billing was slowed down, because a small run would be over before it can be interrupted |
//! | `seed` | what chose rollbacks, duplicates and kills |
//! | `promises` | a list of `{"name", "promise", "outcome", "statistics"}`; `outcome` is `kept`, `broken` or `void` |
//! | `bad_lines` | a list of `{"line", "reason"}` |
//! | `kept_in` | the folder of `--keep`, or `null` |
//!
//! The promises are named `billed_once`, `nothing_of_rolled_back`, `published_exactly`, `sums_equal`,
//! `duplicates_suppressed`, `order_kept`, `dead_letters_exact`, `killed_at_work` and `delivered_twice`.
//!
//! # Exit codes
//!
//! 0 when every promise held; 1 when one was broken, the run is void, a line of the input is bad or something failed; 2 for
//! a command line that is not understood; 130 when interrupted.

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
mod report;
mod run;
mod schedule;
mod supervisor;
mod text;
mod verdict;

pub use input::BadLine;
pub use options::Options;
pub use run::run;
pub use verdict::{Outcome, Promise, Statistics, Verdict, verdict};
