//! The order of a merge, over partitions that are skewed, jittered, compacted, empty or idle, read by any schedule.

use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;

use super::merge::MergeCore;
use super::merge_record::MergeRecord;
use super::merge_settings::MergeSettings;

const NOW: i64 = 10_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap()
}

/// A partition as its log has it: offsets and times in their order.
#[derive(Clone, Debug, Default)]
struct Kept {
    records: Vec<(i64, Option<i64>)>,
    read: usize,
}

/// What came out: partition, offset, the time that ordered it.
type Out = (usize, i64, i64);

/// Partitions in the way of a real past: one in four is empty, one has most of the records, some lose offsets or times, and clocks jitter.
fn past(rng: &mut Rng, records: usize) -> Vec<Kept> {
    let count = rng.usize(1..=8);
    let mut kept = vec![Kept::default(); count];
    let hot = rng.usize(..count);
    let empty: Vec<bool> = (0..count).map(|index| index != hot && rng.u8(..4) == 0).collect();
    let jitter = rng.i64(0..400);
    for number in 0..records {
        let index = if rng.u8(..10) < 6 { hot } else { rng.usize(..count) };
        if empty[index] {
            continue;
        }
        let gap = if rng.u8(..20) == 0 { rng.i64(1..50) } else { 1 };
        let offset = kept[index].records.last().map_or(0, |(offset, _)| *offset + gap);
        let time = number as i64 * 3 + rng.i64(0..=jitter);
        kept[index].records.push((offset, (rng.u8(..50) != 0).then_some(time)));
    }
    kept
}

fn obey(core: &mut MergeCore<()>) {
    for index in 0..core.partitions().len() {
        if core.wants_pause(index) {
            core.set_paused(index, true);
        } else if core.wants_resume(index) {
            core.set_paused(index, false);
        }
    }
}

/// Reads some records of some partition that is not paused, as a log would. Returns whether there was one.
fn read_some(core: &mut MergeCore<()>, kept: &mut [Kept], rng: &mut Rng) -> bool {
    let ready: Vec<usize> = (0..kept.len()).filter(|index| !core.partitions()[*index].is_paused()).collect();
    let unread = |index: &usize| {
        kept[*index].read < kept[*index].records.len() || !core.partitions()[*index].has_ended()
    };
    let ready: Vec<usize> = ready.into_iter().filter(unread).collect();
    let Some(index) = rng.choice(ready.iter().copied()) else { return false };
    let max = core.room().min(rng.usize(1..40));
    if max == 0 {
        return false;
    }
    for _ in 0..max {
        let Some((offset, time)) = kept[index].records.get(kept[index].read).copied() else { break };
        kept[index].read += 1;
        let record = MergeRecord { partition: index, offset, time: time.map(at), bytes: 10, record: () };
        core.on_record(record, at(NOW));
    }
    if kept[index].read == kept[index].records.len() {
        core.on_end(index);
    }
    true
}

fn take(core: &mut MergeCore<()>, max: usize) -> Vec<Out> {
    core.take(max)
        .into_iter()
        .map(|taken| (taken.partition, taken.offset, taken.time.unwrap().as_millisecond()))
        .collect()
}

/// Reads a past to its end by a random schedule, and returns what came out, and the most that was held.
fn merged(kept: &mut [Kept], settings: MergeSettings, rng: &mut Rng) -> (Vec<Out>, usize) {
    let mut core = MergeCore::new(kept.len(), settings);
    let (mut out, mut most) = (Vec::new(), 0);
    while !core.is_live() {
        let has_read = read_some(&mut core, kept, rng);
        most = most.max(core.held());
        obey(&mut core);
        let taken = if rng.bool() { take(&mut core, rng.usize(1..60)) } else { Vec::new() };
        let goes_on = has_read || !taken.is_empty() || core.has_due() || core.is_live();
        assert!(goes_on, "nothing is read and nothing is released");
        out.extend(taken);
        obey(&mut core);
    }
    assert_eq!(core.held(), 0);
    (out, most)
}

/// The greatest time up to each record of a partition, which orders it; a record without a time stands there, too.
fn expected(kept: &[Kept]) -> Vec<Out> {
    let mut all: Vec<Out> = Vec::new();
    for (index, kept) in kept.iter().enumerate() {
        let mut frontier = Timestamp::MIN.as_millisecond();
        for (offset, time) in &kept.records {
            frontier = frontier.max(time.unwrap_or(frontier));
            all.push((index, *offset, frontier));
        }
    }
    all.sort_by_key(|(index, offset, frontier)| (*frontier, *index, *offset));
    all
}

/// How many records came out behind a newer one, or behind a later offset of their partition.
fn violations(out: &[Out]) -> usize {
    let mut last = [i64::MIN; 64];
    let mut newest = i64::MIN;
    let mut count = 0;
    for (partition, offset, time) in out {
        count += usize::from(*time < newest || *offset <= last[*partition]);
        newest = newest.max(*time);
        last[*partition] = *offset;
    }
    count
}

#[test]
fn every_schedule_yields_the_same_whole_order() {
    let mut steps = 0;
    let mut seed = 0;
    // The stated size: a step is a record that comes in.
    while steps < 1_000_000 {
        seed += 1;
        let mut rng = Rng::with_seed(seed);
        let size = rng.usize(0..6_000);
        let mut kept = past(&mut rng, size);
        let max_records = rng.usize(1..400);
        let settings = MergeSettings { max_records, ..MergeSettings::default() };
        let (out, most) = merged(&mut kept, settings, &mut rng);
        assert_eq!(out, expected(&kept), "seed {seed}");
        assert!(most <= max_records + kept.len(), "seed {seed}: {most} of {max_records}");
        steps += out.len().max(1);
    }
}

/// The rule that others use: partitions that have shown nothing and those that are paused do not hold back the rest.
fn merged_by_the_seen_and_unpaused(kept: &mut [Kept], rng: &mut Rng) -> Vec<Out> {
    const BATCH: usize = 10;
    let count = kept.len();
    let (mut held, mut out): (Vec<Out>, Vec<Out>) = (Vec::new(), Vec::new());
    let mut shown: Vec<Option<i64>> = vec![None; count];
    let mut paused = vec![false; count];
    loop {
        let ended = |kept: &[Kept], index: usize| kept[index].read == kept[index].records.len();
        let ready: Vec<usize> = (0..count).filter(|index| !paused[*index] && !ended(kept, *index)).collect();
        if let Some(index) = rng.choice(ready) {
            for _ in 0..rng.usize(1..40) {
                let Some((offset, Some(time))) = kept[index].records.get(kept[index].read).copied() else {
                    break;
                };
                kept[index].read += 1;
                shown[index] = Some(time);
                held.push((index, offset, time));
            }
        }
        let active = || (0..count).filter(|index| !ended(kept, *index) && !paused[*index]);
        let watermark = active().filter_map(|index| shown[index]).min();
        if held.len() > 5 * BATCH {
            (0..count).for_each(|index| paused[index] |= shown[index] > watermark);
        } else if held.len() < BATCH || (0..count).all(|index| paused[index] || ended(kept, index)) {
            paused.fill(false);
        }
        held.sort_by_key(|(_, _, time)| *time);
        let due = held.iter().take_while(|(_, _, time)| watermark.is_none_or(|limit| *time <= limit)).count();
        out.extend(held.drain(..due.min(BATCH)));
        if held.is_empty() && (0..count).all(|index| ended(kept, index)) {
            return out;
        }
    }
}

#[test]
fn skewed_pasts_that_break_the_known_rule_stay_sorted() {
    let mut broken = 0;
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let mut kept = past(&mut rng, 1_000);
        while kept.iter().filter(|kept| kept.records.len() > 20).count() < 2 {
            kept = past(&mut rng, 1_000);
        }
        // That rule stops at a record without a time.
        kept.iter_mut().for_each(|kept| kept.records.retain(|(_, time)| time.is_some()));
        let mut copy = kept.clone();
        broken += usize::from(violations(&merged_by_the_seen_and_unpaused(&mut copy, &mut rng)) > 0);
        let settings = MergeSettings { max_records: 50, ..MergeSettings::default() };
        let (out, _) = merged(&mut kept, settings, &mut rng);
        assert_eq!((violations(&out), out.len()), (0, expected(&kept).len()), "seed {seed}");
    }
    assert_eq!(broken, 300, "the other rule breaks the order in each of them");
}

fn record(partition: usize, offset: i64, time: Option<i64>) -> MergeRecord<()> {
    MergeRecord { partition, offset, time: time.map(at), bytes: 10, record: () }
}

fn core(partitions: usize) -> MergeCore<()> {
    MergeCore::new(partitions, MergeSettings::default())
}

#[test]
fn an_unseen_partition_holds_back_all_others() {
    let mut core = core(2);
    core.on_record(record(0, 0, Some(1_000)), at(NOW));
    assert_eq!(take(&mut core, 9), []);
    assert_eq!(core.watermark(), None);
    core.on_record(record(1, 0, Some(500)), at(NOW));
    assert_eq!(take(&mut core, 9), [(1, 0, 500)]);
    assert_eq!(core.watermark(), Some(at(500)));
}

#[test]
fn a_paused_partition_that_is_overtaken_is_read_again() {
    let settings = MergeSettings { max_records: 4, ..MergeSettings::default() };
    let mut core = MergeCore::new(2, settings);
    core.on_record(record(0, 0, Some(10)), at(NOW));
    core.on_record(record(0, 1, Some(50)), at(NOW));
    assert!(core.wants_pause(0) && !core.wants_pause(1));
    core.set_paused(0, true);
    core.on_record(record(1, 0, Some(60)), at(NOW));
    assert_eq!(take(&mut core, 9), [(0, 0, 10), (0, 1, 50)], "it may still bring a record of 55");
    assert!(core.wants_resume(0));
}

#[test]
fn a_time_that_goes_backwards_keeps_its_offset_in_order() {
    let mut core = core(1);
    for (offset, time) in [(0, 100), (1, 40), (2, 90), (3, 120)] {
        core.on_record(record(0, offset, Some(time)), at(NOW));
    }
    assert_eq!(take(&mut core, 9), [(0, 0, 100), (0, 1, 100), (0, 2, 100), (0, 3, 120)]);
    assert_eq!(core.counts().late, 2);
}

#[test]
fn a_record_without_a_time_stands_at_the_frontier() {
    let mut core = core(2);
    core.on_record(record(0, 0, None), at(NOW));
    core.on_record(record(0, 1, Some(100)), at(NOW));
    core.on_record(record(0, 2, None), at(NOW));
    core.on_record(record(1, 0, Some(70)), at(NOW));
    core.on_end(0);
    core.on_end(1);
    let offsets: Vec<_> = take(&mut core, 9).iter().map(|(index, offset, _)| (*index, *offset)).collect();
    assert_eq!(offsets, [(0, 0), (1, 0), (0, 1), (0, 2)]);
    assert_eq!(core.counts().late, 0);
}

#[test]
fn a_time_far_ahead_is_cut_and_counted() {
    let mut core = core(2);
    core.on_record(record(0, 0, Some(NOW * 1_000)), at(NOW));
    core.on_record(record(1, 0, Some(NOW)), at(NOW));
    assert_eq!(take(&mut core, 9), [(1, 0, NOW)]);
    assert_eq!(core.counts().ahead, 1);
    // When an hour has passed, the others have come so far.
    let later = NOW + 3_600_000;
    core.on_record(record(1, 1, Some(later + 1)), at(later + 1));
    assert_eq!(take(&mut core, 9), [(0, 0, later)]);
}

#[test]
fn an_idle_partition_lets_the_others_go_on() {
    let mut core = core(2);
    core.on_record(record(0, 0, Some(100)), at(NOW));
    core.on_idle(1);
    assert_eq!(take(&mut core, 9), [(0, 0, 100)]);
    assert!(!core.is_live(), "it has not ended");
    core.on_record(record(1, 0, Some(50)), at(NOW));
    core.on_record(record(0, 1, Some(120)), at(NOW));
    assert_eq!(
        take(&mut core, 9),
        [(1, 0, 100)],
        "it holds the others back again, and comes no earlier than they"
    );
    assert_eq!(core.counts().late, 1);
}

#[test]
fn nothing_later_than_the_cutoff_comes_before_all_reach_it() {
    let settings = MergeSettings { cutoff: Some(at(100)), ..MergeSettings::default() };
    let mut core = MergeCore::new(3, settings);
    core.on_record(record(0, 0, Some(90)), at(NOW));
    core.on_record(record(0, 1, Some(150)), at(NOW));
    core.on_record(record(1, 0, Some(100)), at(NOW));
    core.on_record(record(1, 1, Some(300)), at(NOW));
    core.on_record(record(2, 0, Some(80)), at(NOW));
    assert_eq!(take(&mut core, 9), [(2, 0, 80)]);
    core.on_end(2);
    assert_eq!(take(&mut core, 9), [(0, 0, 90), (1, 0, 100), (0, 1, 150), (1, 1, 300)]);
    assert!(core.is_live());
}

#[test]
fn after_the_end_records_come_as_they_arrive() {
    let mut core = core(2);
    core.on_end(0);
    core.on_record(record(0, 7, Some(900)), at(NOW));
    assert!(core.wants_pause(0), "what is behind its end waits");
    core.on_record(record(1, 0, Some(100)), at(NOW));
    assert_eq!(take(&mut core, 9), [(1, 0, 100)]);
    assert!(!core.is_live());
    core.on_end(1);
    assert!(core.is_live());
    core.on_record(record(1, 1, Some(200)), at(NOW));
    assert_eq!(take(&mut core, 1), [(0, 7, 900)]);
    assert_eq!(take(&mut core, 1).len(), 1);
    let added = core.add_partition();
    core.on_record(record(added, 0, Some(50)), at(NOW));
    assert_eq!(take(&mut core, 9).len(), 1, "a partition that is added has no past");
}

#[test]
fn a_live_record_is_late_for_its_own_partition_only() {
    let mut core = core(2);
    core.on_end(0);
    core.on_end(1);
    core.on_record(record(0, 0, Some(2_000)), at(NOW));
    assert_eq!(take(&mut core, 9).len(), 1);
    core.on_record(record(1, 0, Some(1_000)), at(NOW));
    core.on_record(record(1, 1, Some(1_500)), at(NOW));
    assert_eq!((take(&mut core, 9).len(), core.counts().late), (2, 0));
    core.on_record(record(1, 2, Some(1_400)), at(NOW));
    assert_eq!((take(&mut core, 9).len(), core.counts().late), (1, 1));
}

#[test]
fn empty_partitions_are_live_at_their_end() {
    let mut core = core(2);
    core.on_end(0);
    assert!(core.partitions()[0].is_live() && !core.is_live());
    core.on_end(1);
    assert!(core.is_live());
    assert!(MergeCore::<()>::new(0, MergeSettings::default()).is_live());
}

#[test]
fn an_offset_that_was_passed_is_dropped() {
    let mut core = core(1);
    for offset in [3, 4, 4, 2, 5] {
        core.on_record(record(0, offset, Some(offset)), at(NOW));
    }
    core.on_end(0);
    assert_eq!(take(&mut core, 9).iter().map(|(_, offset, _)| *offset).collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn large_records_fill_the_buffer_by_their_bytes() {
    let settings = MergeSettings { max_bytes: 1_000, ..MergeSettings::default() };
    let mut core = MergeCore::new(2, settings);
    let large = MergeRecord { bytes: 400, ..record(0, 0, Some(10)) };
    core.on_record(large, at(NOW));
    assert_eq!(core.room(), 1, "a second one fits");
    core.on_record(MergeRecord { bytes: 400, ..record(0, 1, Some(20)) }, at(NOW));
    assert!(core.wants_pause(0) && !core.wants_pause(1));
    assert_eq!((core.room(), core.held_bytes()), (1, 800), "the partition that holds it back is read on");
    let hour = Duration::from_secs(3_600);
    assert_eq!(MergeSettings::default().max_ahead, hour);
}
