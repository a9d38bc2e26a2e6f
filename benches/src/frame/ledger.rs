//! The ledger of events: lost, doubled, out of order.

use std::collections::HashMap;

use super::Outcome;

/// The verdict over one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Events that never arrived.
    pub(crate) lost: u64,
    /// Arrivals of an event that had arrived before.
    pub(crate) doubled: u64,
    /// First arrivals after a later event of their key.
    pub(crate) out_of_order: u64,
}

impl Ledger {
    /// Returns whether nothing was lost, doubled or reordered.
    pub(crate) fn is_clean(self) -> bool {
        self == Self::default()
    }

    /// Adds the counts of other events.
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
    }
}

/// Checks arrivals, in the order of each key. The events of a run are numbered from 0, and those of a key were written
/// in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Judge {
    seen: Vec<bool>,
    last: HashMap<String, u64>,
    ledger: Ledger,
}

impl Judge {
    /// Expects the numbers below `events`.
    pub(crate) fn expecting(events: usize) -> Self {
        Self { seen: vec![false; events], last: HashMap::new(), ledger: Ledger::default() }
    }

    /// Records an arrival.
    pub(crate) fn see(&mut self, account: &str, number: u64) -> Outcome<()> {
        let seen = usize::try_from(number).ok().and_then(|number| self.seen.get_mut(number));
        let seen = seen.ok_or_else(|| format!("event {number} arrived, which nobody wrote"))?;
        if std::mem::replace(seen, true) {
            self.ledger.doubled += 1;
            return Ok(());
        }
        match self.last.get_mut(account) {
            Some(last) if *last > number => self.ledger.out_of_order += 1,
            Some(last) => *last = number,
            None => drop(self.last.insert(account.to_owned(), number)),
        }
        Ok(())
    }

    /// Records an arrival by its payload, which contains account and number.
    pub(crate) fn see_payload(&mut self, payload: &[u8]) -> Outcome<()> {
        let account = field(payload, b"\"account\"").ok_or("a payload without an account arrived")?;
        self.see(account.trim_matches('"'), Self::number(payload)?)
    }

    /// Returns the number in a payload.
    pub(crate) fn number(payload: &[u8]) -> Outcome<u64> {
        Ok(field(payload, b"\"number\"").ok_or("a payload without a number arrived")?.parse()?)
    }

    /// Counts every event that has not arrived as lost.
    pub(crate) fn verdict(self) -> Ledger {
        let lost = self.seen.iter().filter(|seen| !**seen).count() as u64;
        Ledger { lost, ..self.ledger }
    }
}

/// Returns the value of a name in JSON, whatever surrounds it: contenders wrap their payloads differently.
fn field<'a>(payload: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let at = payload.windows(name.len()).position(|window| window == name)? + name.len();
    let value = std::str::from_utf8(&payload[at..]).ok()?.trim_start().strip_prefix(':')?.trim_start();
    Some(value[..value.find([',', '}'])?].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(events: usize, arrivals: &[(&str, u64)]) -> Ledger {
        let mut judge = Judge::expecting(events);
        for (account, number) in arrivals {
            judge.see(account, *number).unwrap();
        }
        judge.verdict()
    }

    #[test]
    fn everything_once_and_in_order_is_clean() {
        assert!(verdict(4, &[("b", 1), ("a", 0), ("a", 2), ("b", 3)]).is_clean());
    }

    #[test]
    fn each_fault_is_counted_for_itself() {
        let ledger = verdict(5, &[("a", 2), ("a", 0), ("a", 2), ("b", 1)]);
        assert_eq!(ledger, Ledger { lost: 2, doubled: 1, out_of_order: 1 });
    }

    #[test]
    fn a_copy_behind_later_events_is_doubled_and_not_out_of_order() {
        let ledger = verdict(2, &[("a", 0), ("a", 1), ("a", 0)]);
        assert_eq!(ledger, Ledger { doubled: 1, ..Ledger::default() });
    }

    #[test]
    fn strange_numbers_are_refused() {
        assert!(Judge::expecting(2).see("a", 2).is_err());
    }

    #[test]
    fn payloads_are_read_through_what_stands_around_them() {
        let mut judge = Judge::expecting(8);
        judge.see_payload(br#"{"eventId":"e","account":"account-1","number":7,"text":"t"}"#).unwrap();
        judge.see_payload(br#"{"number" : 6, "account" : "account-2"}"#).unwrap();
        assert!(judge.see_payload(b"{}").is_err());
        assert_eq!(judge.verdict().lost, 6);
    }
}
