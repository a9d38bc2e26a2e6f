//! What claims by key look at.

use bytes::Bytes;

use super::key_order::KeyedClaim;
use super::key_order_tests::claim_by_key;
use super::window_tests::{at, records};
use super::{ClaimHolder, ClaimWindow, NewClaim, RecordClaimId, Settlement};

/// Workers of one window at one time.
struct Workers {
    window: ClaimWindow,
    keys: Vec<Option<Bytes>>,
    holder: ClaimHolder,
}

impl Workers {
    fn new(keys: impl IntoIterator<Item = &'static str>) -> Self {
        let keys = keys.into_iter().map(|key| Some(Bytes::from(key))).collect();
        Self { window: ClaimWindow::new(0), keys, holder: ClaimHolder::new("a") }
    }

    fn end(&self) -> i64 {
        self.keys.len() as i64
    }

    fn new_claim<'a>(&'a self, id: &'a RecordClaimId, max: u32) -> NewClaim<'a> {
        let (holder, now, until) = (&self.holder, at(1), at(9));
        NewClaim { id, holder, ended: &[], now, until, max, max_attempts: 3, is_ordered: false }
    }

    fn claim(&mut self, max: u32) -> (RecordClaimId, Vec<i64>) {
        let (id, mut window) = (RecordClaimId::new(), self.window.clone());
        let claimed = claim_by_key(&mut window, &self.new_claim(&id, max), self.end(), &self.keys);
        self.window = window;
        (id, records(&claimed).0.into_iter().map(|(offset, _)| offset).collect())
    }

    fn acknowledge(&mut self, (id, offsets): &(RecordClaimId, Vec<i64>)) {
        let offsets: Vec<_> = offsets.iter().map(|offset| *offset..offset + 1).collect();
        self.window.settle(id, &offsets, Settlement::Acknowledge, at(1)).unwrap();
    }

    /// Returns how many keys each look of a claim reads.
    fn looks(&self, max: u32) -> Vec<i64> {
        let (id, mut window, mut looks) = (RecordClaimId::new(), self.window.clone(), Vec::new());
        let new = self.new_claim(&id, max);
        let mut claim = KeyedClaim::new(&mut window, &new, self.end());
        loop {
            let unread = claim.unread();
            if unread.is_empty() {
                return looks;
            }
            looks.push(unread.iter().map(|offsets| offsets.end - offsets.start).sum());
            let key = |offset: i64| Some((offset, self.keys[offset as usize].clone()?));
            claim.look(unread.into_iter().flatten().filter_map(key));
        }
    }
}

#[test]
fn a_claim_without_blocked_keys_reads_its_own_keys_once() {
    let mut workers = Workers::new(["a", "b", "c", "d"].repeat(2_000));
    assert_eq!(workers.looks(100), [100]);
    let first = workers.claim(100);
    workers.acknowledge(&first);
    assert_eq!((workers.looks(100), workers.window.encode()), (vec![100], "[]".to_owned()));
    assert!(workers.looks(100_000).iter().sum::<i64>() <= 8_000);
}

#[test]
fn records_far_behind_a_blocked_key_wait_until_it_moves() {
    let blocked = std::iter::repeat_n("a", 3_000);
    let mut workers = Workers::new(blocked.chain(["b"; 5]));
    let front = workers.claim(1);
    assert_eq!(front.1, [0]);
    assert_eq!(workers.looks(10).iter().sum::<i64>(), 1 + 1_024, "the claimed one, and so many others");
    assert!(workers.looks(10).len() <= 5);
    assert_eq!(workers.claim(10).1, [0_i64; 0]);
    assert_eq!(workers.claim(800).1, (3_000..3_005).collect::<Vec<_>>(), "a large claim looks farther");
    workers.acknowledge(&front);
    assert_eq!(workers.claim(10).1, (1..11).collect::<Vec<_>>());
}

#[test]
fn a_blocked_key_does_not_stop_the_others() {
    let keys = std::iter::once("a").chain(std::iter::repeat_n(["b", "c", "d"], 3_000).flatten());
    let mut workers = Workers::new(keys);
    let _front = workers.claim(1);
    let mut handled = 0;
    while handled < 9_000 {
        let next = workers.claim(100);
        assert!(!next.1.is_empty(), "{handled} records are handled");
        handled += next.1.len();
        workers.acknowledge(&next);
    }
    assert_eq!((workers.window.next(), workers.claim(9).1.len()), (0, 0));
}

#[test]
fn passing_records_over_never_makes_too_many_ranges() {
    let mut workers = Workers::new(["a", "b"].repeat(12_000));
    let front = workers.claim(1);
    let mut handled = 0;
    loop {
        let next = workers.claim(3_000);
        if next.1.is_empty() {
            break;
        }
        handled += next.1.len();
        workers.acknowledge(&next);
        let ranges: Vec<serde_json::Value> = serde_json::from_str(&workers.window.encode()).unwrap();
        assert!(ranges.len() <= 10_000, "{}", ranges.len());
    }
    assert!(handled > 4_000, "{handled}");
    workers.acknowledge(&front);
    while workers.window.next() < workers.end() {
        let next = workers.claim(3_000);
        assert!(!next.1.is_empty(), "at {}", workers.window.next());
        workers.acknowledge(&next);
    }
}

/// A program that knows no keys reads the window of one that does.
#[test]
fn records_passed_over_are_due_for_every_claim() {
    let mut workers = Workers::new(["a", "a", "b"]);
    let front = workers.claim(1);
    assert_eq!((front.1.clone(), workers.claim(5).1), (vec![0], vec![2]));
    let (id, mut window) = (RecordClaimId::new(), ClaimWindow::decode(0, &workers.window.encode()).unwrap());
    assert_eq!(window.due(at(1)), Some(at(9)), "the end of the leases");
    assert_eq!(records(&window.claim(&workers.new_claim(&id, 5), 3)).0, [(1, 1)]);
}

#[test]
fn records_that_do_not_exist_stop_no_key() {
    let mut workers = Workers::new(["a", "b", "a", "b"]);
    workers.keys[1] = None;
    workers.keys[3] = None;
    let front = workers.claim(1);
    let others = workers.claim(9);
    assert_eq!((front.1.clone(), others.1.clone()), (vec![0], vec![1, 3]));
    workers.acknowledge(&others);
    workers.acknowledge(&front);
    assert_eq!(workers.claim(9).1, [2]);
}
