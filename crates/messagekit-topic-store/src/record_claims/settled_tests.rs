//! What is settled, beside a set of offsets.

use std::collections::BTreeSet;
use std::ops::Range;

use super::window_tests::at;
use super::{ClaimHolder, ClaimWindow, NewClaim, RecordClaimId, Settlement};

const END: i64 = 40;

/// Claims and parts agree with the set about each record, and the window can be stored.
#[test]
fn records_finished_without_a_claim_are_settled_as_others_are() {
    for seed in 0..2_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut window = ClaimWindow::new(3);
        let mut settled: BTreeSet<i64> = (0..3).collect();
        let holder = ClaimHolder::new("w");
        for now in 0..20 {
            let id = RecordClaimId::from_text(format!("{now}"));
            let new = NewClaim {
                id: &id,
                holder: &holder,
                ended: &[],
                now: at(now),
                until: at(now + 2),
                max: random.u32(1..6),
                max_attempts: 99,
                is_ordered: random.bool(),
            };
            let claimed = window.claim(&new, END);
            let offsets: Vec<Range<i64>> = claimed.ranges.into_iter().map(|range| range.offsets).collect();
            assert!(
                offsets.iter().cloned().flatten().all(|offset| !settled.contains(&offset)),
                "seed {seed}"
            );
            if random.bool() {
                window.settle(&id, &offsets, Settlement::Acknowledge, at(now)).unwrap();
                settled.extend(offsets.into_iter().flatten());
            }
            let start = random.i64(0..END - 4);
            let handled = start..start + random.i64(0..4);
            window.finish(handled.clone());
            settled.extend(handled);
            check(seed, &window, &settled);
        }
    }
}

fn check(seed: u64, window: &ClaimWindow, settled: &BTreeSet<i64>) {
    for offset in 0..END {
        assert_eq!(window.is_settled(offset), settled.contains(&offset), "seed {seed}: {offset}");
    }
    let parts = window.parts(END);
    let mut at = window.next();
    for (offsets, is_settled) in &parts {
        assert_eq!(offsets.start, at, "seed {seed}: {parts:?}");
        assert!(
            offsets.clone().all(|offset| settled.contains(&offset) == *is_settled),
            "seed {seed}: {parts:?}"
        );
        at = offsets.end;
    }
    assert!(at == END && parts.windows(2).all(|two| two[0].1 != two[1].1), "seed {seed}: {parts:?}");
    assert_eq!(window.unsettled(END), (END - settled.len() as i64).unsigned_abs(), "seed {seed}");
    assert_eq!(&ClaimWindow::decode(window.next(), &window.encode()).unwrap(), window, "seed {seed}");
}
