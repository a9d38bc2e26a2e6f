//! The choice of records that keep the order of each key: a pure state machine that is given the keys which it asks for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;

use bytes::Bytes;

use super::window::{ClaimRange, ClaimWindow, ClaimedRanges, MAX_CLAIM_RANGES, NewClaim, RangeState};

/// How many records that no worker has a claim looks at, or four times as many as it may have.
const LOOK_AHEAD: i64 = 1_024;
/// The least records of a second look: a look costs a round trip, a key almost nothing.
const SECOND_LOOK: i64 = 64;

/// A claim of records of which each one has no unsettled record of its key in front of it, other than in the claim itself.
///
/// The records are looked at in their order. [`unread`](Self::unread) returns the offsets whose keys are needed next,
/// [`look`](Self::look) takes them, and [`claim`](Self::claim) ends it. Whatever was looked at is enough for a claim that keeps the
/// order, because no record depends on one behind it.
#[derive(Debug)]
pub(super) struct KeyedClaim<'a> {
    window: &'a mut ClaimWindow,
    new: &'a NewClaim<'a>,
    /// What was not looked at yet, without the settled records.
    ahead: VecDeque<Span>,
    /// What the next keys belong to.
    looking: Vec<Span>,
    /// How many records that no worker has the next look takes.
    look: i64,
    /// How many more such records may be looked at.
    left: i64,
    /// Keys whose records must wait.
    blocked: HashSet<Bytes>,
    /// Keys of which the claim has records.
    chosen_keys: HashSet<Bytes>,
    chosen: Vec<Range<i64>>,
    alone: Option<i64>,
    room: i64,
    is_decided: bool,
}

/// Neighbours that may be chosen alike.
#[derive(Clone, Debug)]
struct Span {
    offsets: Range<i64>,
    choice: Choice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// Another claim has them.
    Claimed,
    /// They are not due.
    Early,
    /// Each of them may be claimed without others.
    Alone,
    /// They may be claimed, if their keys are not blocked.
    Due,
    /// As [`Due`](Self::Due), and they were never claimed or passed over.
    New,
}

impl<'a> KeyedClaim<'a> {
    /// Begins a claim of records before `end`. What was lost is waiting then, as with [`ClaimWindow::claim`].
    pub(super) fn new(window: &'a mut ClaimWindow, new: &'a NewClaim<'a>, end: i64) -> Self {
        let now = new.now.as_microsecond();
        window.lose(now, new.ended);
        let known = window.ranges.iter().filter_map(|range| Span::of(range, now));
        let behind = Span { offsets: window.unclaimed_from()..end, choice: Choice::New };
        let mut ahead: VecDeque<Span> =
            known.chain([behind]).filter(|span| !span.offsets.is_empty()).collect();
        while ahead.pop_back_if(|last| matches!(last.choice, Choice::Claimed | Choice::Early)).is_some() {}
        let room = i64::from(new.max);
        Self {
            window,
            new,
            ahead,
            looking: Vec::new(),
            look: room,
            left: LOOK_AHEAD.max(room.saturating_mul(4)),
            blocked: HashSet::new(),
            chosen_keys: HashSet::new(),
            chosen: Vec::new(),
            alone: None,
            room,
            is_decided: false,
        }
    }

    /// Returns the offsets whose keys are needed next, in order; none when the choice is made.
    ///
    /// The first look is enough unless keys are blocked; the later ones are longer, and few.
    pub(super) fn unread(&mut self) -> Vec<Range<i64>> {
        if self.is_decided {
            return Vec::new();
        }
        let mut free = self.look.min(self.left);
        self.left -= free;
        self.look = self.look.saturating_mul(4).max(SECOND_LOOK);
        while free > 0
            && let Some(mut span) = self.ahead.pop_front()
        {
            if span.choice != Choice::Claimed {
                let to = span.offsets.end.min(span.offsets.start.saturating_add(free));
                if to < span.offsets.end {
                    self.ahead.push_front(Span { offsets: to..span.offsets.end, ..span });
                }
                span.offsets.end = to;
                free -= to - span.offsets.start;
            }
            self.looking.push(span);
        }
        let mut unread: Vec<Range<i64>> = Vec::new();
        for Span { offsets, .. } in &self.looking {
            match unread.last_mut() {
                Some(last) if last.end == offsets.start => last.end = offsets.end,
                _ => unread.push(offsets.clone()),
            }
        }
        unread
    }

    /// Takes the keys of what [`unread`](Self::unread) has returned. An offset that is not among them has no key.
    pub(super) fn look(&mut self, keys: impl IntoIterator<Item = (i64, Bytes)>) {
        let mut keys: HashMap<i64, Bytes> = keys.into_iter().collect();
        for Span { offsets, choice } in std::mem::take(&mut self.looking) {
            for offset in offsets {
                self.see(offset, choice, keys.remove(&offset));
                if self.is_decided {
                    return;
                }
            }
        }
    }

    /// Claims what was chosen.
    pub(super) fn claim(self) -> ClaimedRanges {
        match self.alone {
            Some(offset) => self.window.claim_alone(offset, self.new),
            None => self.window.claim_chosen(&self.chosen, self.new),
        }
    }

    fn see(&mut self, offset: i64, choice: Choice, key: Option<Bytes>) {
        let is_blocked = key.as_ref().is_some_and(|key| self.blocked.contains(key));
        match choice {
            Choice::Claimed | Choice::Early => self.blocked.extend(key),
            Choice::Alone => {
                if is_blocked || key.as_ref().is_some_and(|key| self.chosen_keys.contains(key)) {
                    self.blocked.extend(key);
                } else {
                    self.alone = Some(offset);
                    self.is_decided = true;
                }
            }
            Choice::Due | Choice::New if is_blocked => {}
            Choice::Due | Choice::New => self.choose(offset, choice, key),
        }
    }

    /// Chooses a record, unless the window would get too many ranges. Then nothing behind it is chosen, either: it could have its key.
    fn choose(&mut self, offset: i64, choice: Choice, key: Option<Bytes>) {
        let chosen = self.chosen.len();
        match self.chosen.last_mut() {
            Some(last) if last.end == offset => last.end = offset + 1,
            // A record among others is three ranges where one was. The first one that was seen before is claimed in any case, so that
            // a window with too many ranges empties.
            _ if self.window.ranges.len() + 2 * (chosen + 1) <= MAX_CLAIM_RANGES
                || (chosen == 0 && choice == Choice::Due) =>
            {
                self.chosen.push(offset..offset + 1);
            }
            _ => {
                self.is_decided = true;
                return;
            }
        }
        self.chosen_keys.extend(key);
        self.room -= 1;
        self.is_decided = self.room == 0;
    }
}

impl Span {
    fn of(range: &ClaimRange, now: i64) -> Option<Self> {
        let choice = match range.state {
            RangeState::Settled => return None,
            RangeState::Claimed { .. } => Choice::Claimed,
            RangeState::Waiting { due, .. } if due > now => Choice::Early,
            RangeState::Waiting { is_alone: true, .. } => Choice::Alone,
            RangeState::Waiting { .. } => Choice::Due,
        };
        Some(Self { offsets: range.from..range.to, choice })
    }
}

impl ClaimWindow {
    /// Claims ranges that are due or new. New records that are passed over wait, and have no attempt.
    fn claim_chosen(&mut self, chosen: &[Range<i64>], new: &NewClaim<'_>) -> ClaimedRanges {
        let mut claimed = ClaimedRanges::default();
        let (from, to) = (self.unclaimed_from(), chosen.last().map_or(0, |last| last.end));
        if to > from {
            // Always the same time, so that neighbours become one range.
            let state = RangeState::Waiting { due: 0, is_alone: false };
            self.ranges.push(ClaimRange { from, to, attempts: 0, state });
        }
        let is_alone = matches!(chosen, [only] if only.end - only.start == 1);
        for offsets in chosen {
            self.cut(offsets.start);
            self.cut(offsets.end);
            let first = self.ranges.partition_point(|range| range.from < offsets.start);
            for range in self.ranges[first..].iter_mut().take_while(|range| range.from < offsets.end) {
                range.attempts += 1;
                range.state = new.state(is_alone);
                claimed.ranges.push(range.claimed());
            }
        }
        self.collapse();
        claimed
    }
}
