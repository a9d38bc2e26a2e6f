//! The promises, each checked against the accounts.

use crate::accounts::{Account, Accounts, Fate, Kind};
use crate::promise::{Outcome, Promise};
use crate::statistics::Statistics;
use crate::text::{count, pounds, some};

/// How often the consumer must be killed with unfinished work; otherwise the run proves nothing.
const KILLS_NEEDED: u64 = 3;

/// Checks the accounts.
pub(crate) struct Judge<'a> {
    accounts: &'a Accounts,
    statistics: Statistics,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(accounts: &'a Accounts) -> Self {
        let sum = |rows: fn(&Account) -> u64| accounts.all().map(rows).sum::<u64>();
        let pence = |pence: fn(&Account) -> i64| accounts.all().map(pence).sum::<i64>();
        let with_work = accounts.kills.iter().filter(|kill| kill.unfinished > 0).count() as u64;
        let statistics = Statistics {
            written: sum(|account| account.orders.into()),
            rolled_back: sum(|account| (account.fate == Some(Fate::RolledBack)).into()),
            published: sum(|account| account.records.into()) + accounts.nameless,
            handled: sum(|account| account.done.into()),
            ignored: sum(|account| u64::from(account.records) * u64::from(account.kind == Kind::Foreign)),
            duplicates_delivered: sum(|account| account.records.saturating_sub(1).into()),
            duplicates_suppressed: sum(|account| suppressed(account).into()),
            dead_letters: sum(|account| account.dead.into()),
            pence_ordered: pence(|account| account.ordered_pence),
            pence_billed: pence(|account| account.billed_pence),
            pence_set_aside: pence(
                |account| if account.failed_messages > 0 { account.ordered_pence } else { 0 },
            ),
            // Each kill leaves a start of the service without an end in a table.
            kills: with_work.min(accounts.cut_off),
        };
        Self { accounts, statistics }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.statistics
    }

    pub(crate) fn promises(&self) -> Vec<Promise> {
        vec![
            self.billed_once(),
            self.nothing_of_rolled_back(),
            self.published_exactly(),
            self.sums_equal(),
            self.duplicates_suppressed(),
            self.order_kept(),
            self.dead_letters_exact(),
            self.killed_at_work(),
            self.delivered_twice(),
        ]
    }

    fn committed(&self, kind: Kind) -> impl Iterator<Item = &Account> {
        self.accounts
            .all()
            .filter(move |account| (account.fate, account.kind) == (Some(Fate::Committed), kind))
    }

    fn billed_once(&self) -> Promise {
        let orders = self.committed(Kind::Billed).count() as u64;
        let once = |account: &&Account| (account.orders, account.bills, account.done) == (1, 1, 1);
        let right = self.committed(Kind::Billed).filter(once).count() as u64;
        let bills: u64 = self.accounts.all().map(|account| u64::from(account.bills)).sum();
        Promise {
            name: "billed_once",
            promise: "every committed order is billed once",
            outcome: kept(right == orders && bills == orders),
            statistics: format!(
                "{}, {}, {} billed once",
                some(orders, "order"),
                some(bills, "bill"),
                count(right)
            ),
        }
    }

    fn nothing_of_rolled_back(&self) -> Promise {
        let of = |fate: Option<Fate>| self.accounts.all().filter(move |account| account.fate == fate);
        let traces: u64 = of(Some(Fate::RolledBack)).map(|account| account.traces() as u64).sum();
        let unknown = of(None).count() as u64 + self.accounts.nameless;
        Promise {
            name: "nothing_of_rolled_back",
            promise: "nothing of a rolled-back transaction is anywhere",
            outcome: kept(traces == 0 && unknown == 0),
            statistics: format!(
                "{} rolled back, {} of them; {} of unknown origin",
                count(self.statistics.rolled_back),
                some(traces, "trace"),
                some(unknown, "id")
            ),
        }
    }

    fn published_exactly(&self) -> Promise {
        let committed = || self.accounts.all().filter(|account| account.fate == Some(Fate::Committed));
        let right = |account: &&Account| account.orders == 1 && account.records == 1 + account.again;
        let (all, right) = (committed().count() as u64, committed().filter(right).count() as u64);
        Promise {
            name: "published_exactly",
            promise: "every committed event is in the log, as often as it was sent",
            outcome: kept(right == all),
            statistics: format!("{} committed, {} in the log as they should be", count(all), count(right)),
        }
    }

    fn sums_equal(&self) -> Promise {
        let Statistics { pence_ordered, pence_billed, pence_set_aside, .. } = self.statistics;
        let differ = |account: &&Account| account.ordered_pence != account.billed_pence;
        let bills = self.committed(Kind::Billed).filter(differ).count() as u64;
        let balances = self.accounts.wrong_balances;
        Promise {
            name: "sums_equal",
            promise: "the sums are equal to the penny, and so is each customer's",
            outcome: kept(pence_ordered == pence_billed + pence_set_aside && bills == 0 && balances == 0),
            statistics: format!(
                "{} ordered, {} billed, {} in dead letters; {} and {} differ",
                pounds(pence_ordered),
                pounds(pence_billed),
                pounds(pence_set_aside),
                some(bills, "bill"),
                some(balances, "balance")
            ),
        }
    }

    fn duplicates_suppressed(&self) -> Promise {
        let Statistics { duplicates_delivered: delivered, duplicates_suppressed: suppressed, .. } =
            self.statistics;
        let unread = self.accounts.unread;
        Promise {
            name: "duplicates_suppressed",
            promise: "what is delivered again has no second effect",
            outcome: kept(suppressed == delivered && unread == 0),
            statistics: format!(
                "{} delivered again, {} without effect; {} unread",
                count(delivered),
                count(suppressed),
                some(unread, "record")
            ),
        }
    }

    fn order_kept(&self) -> Promise {
        let Accounts { in_an_order, out_of_order, .. } = self.accounts;
        Promise {
            name: "order_kept",
            promise: "each customer's bills stand in the order of the orders",
            outcome: kept(*out_of_order == 0),
            statistics: format!(
                "{} compared, {} out of order",
                some(*in_an_order, "bill"),
                count(*out_of_order)
            ),
        }
    }

    fn dead_letters_exact(&self) -> Promise {
        let adjustments = self.committed(Kind::Adjustment).count() as u64;
        let set_aside =
            |account: &&Account| (account.failed_messages, account.dead, account.bills) == (1, 1, 0);
        let right = self.committed(Kind::Adjustment).filter(set_aside).count() as u64;
        let failed_messages: u64 =
            self.accounts.all().map(|account| u64::from(account.failed_messages)).sum();
        Promise {
            name: "dead_letters_exact",
            promise: "the dead letters are exactly the committed adjustments",
            outcome: kept(right == adjustments && failed_messages == adjustments),
            statistics: match (adjustments, failed_messages) {
                (0, 0) => "no adjustment was among these events, and no dead letter".to_owned(),
                _ => format!("{}, {}", some(adjustments, "adjustment"), some(failed_messages, "dead letter")),
            },
        }
    }

    fn killed_at_work(&self) -> Promise {
        let kills = self.statistics.kills;
        let unfinished = self.accounts.kills.iter().map(|kill| kill.unfinished);
        let spread = match (unfinished.clone().min(), unfinished.max()) {
            (Some(least), Some(most)) => {
                format!(", which left {} to {} unfinished", count(least), some(most.unsigned_abs(), "record"))
            }
            _ => String::new(),
        };
        Promise {
            name: "killed_at_work",
            promise: "the consumer was killed at least 3 times while it had work",
            outcome: if kills >= KILLS_NEEDED { Outcome::Kept } else { Outcome::Void },
            statistics: format!("{}{spread}", some(kills, "kill")),
        }
    }

    fn delivered_twice(&self) -> Promise {
        let delivered = self.statistics.duplicates_delivered;
        Promise {
            name: "delivered_twice",
            promise: "at least one record was delivered twice",
            outcome: if delivered > 0 { Outcome::Kept } else { Outcome::Void },
            statistics: format!("{} delivered twice", count(delivered)),
        }
    }
}

/// Returns the duplicates without an effect: at most one effect, a bill or a failed message, exists.
fn suppressed(account: &Account) -> u32 {
    let effects = account.bills + account.failed_messages;
    (account.records.saturating_sub(1)).saturating_sub(effects.saturating_sub(1))
}

fn kept(held: bool) -> Outcome {
    if held { Outcome::Kept } else { Outcome::Broken }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Kill;

    fn judged(kills: &[i64], cut_off: u64) -> Outcome {
        let mut accounts = Accounts::default();
        accounts.cut_off = cut_off;
        accounts.kills = kills.iter().map(|unfinished| Kill { unfinished: *unfinished }).collect();
        Judge::new(&accounts).killed_at_work().outcome
    }

    #[test]
    fn kills_count_only_with_work_and_a_trace_in_the_tables() {
        assert_eq!(judged(&[5, 1, 9], 3), Outcome::Kept);
        assert_eq!(judged(&[5, 0, 9], 3), Outcome::Void);
        assert_eq!(judged(&[5, 1, 9], 2), Outcome::Void);
        assert_eq!(judged(&[], 0), Outcome::Void);
    }

    #[test]
    fn a_run_without_a_duplicate_is_void() {
        let accounts = Accounts::default();
        assert_eq!(Judge::new(&accounts).delivered_twice().outcome, Outcome::Void);
    }

    #[test]
    fn a_second_effect_counts_against_the_copies() {
        let account = |records, bills| Account { records, bills, ..Account::default() };
        assert_eq!(suppressed(&account(2, 1)), 1);
        assert_eq!(suppressed(&account(2, 2)), 0);
        assert_eq!(suppressed(&account(1, 2)), 0);
        assert_eq!(suppressed(&account(3, 2)), 1);
    }
}
