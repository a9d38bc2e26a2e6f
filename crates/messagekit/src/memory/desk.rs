//! What an operator does with dead letters in memory.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::letters::Letter;
use super::markers::{Marker, key_held, letter_held};
use super::store::Tables;
use super::{Failpoint, MemoryStore};
use crate::Error;
use crate::dead_letters::{
    Act, Acted, Actor, DeadLetter, DeadLetters, LetterFilter, LetterGroup, LetterHead, LetterState,
    LetterTotal, no_letter,
};
use crate::store::BoxFuture;

fn is_meant(letter: &LetterHead, filter: &LetterFilter) -> bool {
    filter.consumer.as_ref().is_none_or(|consumer| *consumer == letter.consumer)
        && filter.state.is_none_or(|state| state == letter.state)
        && filter.origin.is_none_or(|origin| origin == letter.origin)
        && filter.event_type.as_ref().is_none_or(|wanted| letter.event_type.as_ref() == Some(wanted))
        && filter.kind.as_ref().is_none_or(|kind| *kind == letter.kind)
        && filter.fingerprint.as_ref().is_none_or(|fingerprint| *fingerprint == letter.fingerprint)
        && filter.key.as_deref().is_none_or(|key| letter.key.as_deref() == Some(key))
        && filter.since.is_none_or(|since| since <= letter.set_aside_at)
        && filter.until.is_none_or(|until| letter.set_aside_at < until)
        && filter.before.is_none_or(|before| letter.id < before)
        && filter.after.is_none_or(|after| after < letter.id)
}

impl Tables {
    /// Returns the letters of a filter, smallest number first.
    fn meant(&self, filter: &LetterFilter) -> impl DoubleEndedIterator<Item = &LetterHead> {
        self.letters.values().map(Letter::head).filter(|letter| is_meant(letter, filter))
    }

    fn act(&mut self, act: Act, id: i64, now: Timestamp) -> Acted {
        let Some(letter) = self.letters.get_mut(&id) else { return Acted::NotFound };
        if act == Act::Retry && letter.has_no_way_back() {
            return Acted::WrongState(letter.head().state);
        }
        let (key, stood) = (letter.marker_key(), letter.standing().marker());
        let does_something = act.of(letter.head().state).is_some();
        let contradicts = self.markers.get(&key).is_some_and(|marker| marker.claim != stood);
        if does_something && act != Act::Retry && contradicts {
            return Acted::Settled;
        }
        match letter.act(act, now) {
            Ok(_) => {
                let claim = letter.standing().marker();
                match act {
                    Act::Retry => {}
                    Act::Discard => self.left_its_key(id, now),
                    Act::Undo => self.came_back(id, now),
                }
                // A marker that was forgotten is made again: a late copy would be applied behind the act's back.
                let marker = self.markers.entry(key).or_insert(Marker::new(claim, 0));
                (marker.claim, marker.processed_at) = (claim, now);
                Acted::Done
            }
            Err(state) => Acted::WrongState(state),
        }
    }

    /// Refuses an act on letters of which one is in somebody's hands.
    fn check_acts(&self, ids: &[i64]) -> Result<(), Error> {
        if let Some(held) = ids.iter().find(|id| self.locks.holds_letter(**id)) {
            return Err(letter_held(*held));
        }
        let keys = ids.iter().filter_map(|id| self.letters.get(id)?.held_key());
        match keys.into_iter().find(|key| self.locks.holds_key(key)) {
            Some(held) => Err(key_held(&held)),
            None => Ok(()),
        }
    }
}

impl MemoryStore {
    /// Looks at or changes letters, unless a test asked for a failure.
    fn at_the_desk<R>(&self, act: impl FnOnce(&mut Tables) -> Result<R, Error>) -> Result<R, Error> {
        self.tables(|tables| {
            tables.pass(Failpoint::Desk)?;
            act(tables)
        })
    }
}

impl DeadLetters for MemoryStore {
    fn list<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LetterHead>, Error>> {
        Box::pin(async move {
            self.at_the_desk(|tables| {
                Ok(tables.meant(filter).rev().take(limit as usize).map(|head| tables.shown(head)).collect())
            })
        })
    }

    fn ids<'a>(&'a self, filter: &'a LetterFilter, limit: u32) -> BoxFuture<'a, Result<Vec<i64>, Error>> {
        Box::pin(async move {
            self.at_the_desk(|tables| {
                Ok(tables.meant(filter).take(limit as usize).map(|letter| letter.id).collect())
            })
        })
    }

    fn show(&self, id: i64) -> BoxFuture<'_, Result<DeadLetter, Error>> {
        Box::pin(async move {
            self.at_the_desk(|tables| {
                let letter = tables.letters.get(&id).ok_or_else(|| no_letter(id))?.letter();
                Ok(DeadLetter { head: tables.shown(&letter.head), received: letter.received.clone() })
            })
        })
    }

    fn totals<'a>(&'a self, filter: &'a LetterFilter) -> BoxFuture<'a, Result<Vec<LetterTotal>, Error>> {
        Box::pin(async move {
            self.at_the_desk(|tables| {
                let mut totals: BTreeMap<_, LetterTotal> = BTreeMap::new();
                for letter in tables.meant(filter) {
                    let (consumer, state) = (letter.consumer.clone(), letter.state);
                    let rank = LetterState::ALL.iter().position(|known| *known == state);
                    let total = totals.entry((consumer.clone(), rank));
                    total.or_insert(LetterTotal { consumer, state, letters: 0 }).letters += 1;
                }
                Ok(totals.into_values().collect())
            })
        })
    }

    fn groups<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LetterGroup>, Error>> {
        Box::pin(async move {
            self.at_the_desk(|tables| {
                let mut groups: BTreeMap<_, LetterGroup> = BTreeMap::new();
                for letter in tables.meant(filter) {
                    let alike = (&letter.fingerprint, &letter.consumer, &letter.event_type, &letter.kind);
                    let group = groups.entry(alike).or_insert_with(|| LetterGroup {
                        fingerprint: letter.fingerprint.clone(),
                        consumer: letter.consumer.clone(),
                        event_type: letter.event_type.clone(),
                        kind: letter.kind.clone(),
                        error: String::new(),
                        letters: 0,
                        first: letter.set_aside_at,
                        last: letter.set_aside_at,
                        newest: letter.id,
                    });
                    group.letters += 1;
                    group.first = group.first.min(letter.set_aside_at);
                    group.last = group.last.max(letter.set_aside_at);
                    // Numbers ascend: the last one seen is the newest.
                    (group.error, group.newest) = (letter.error.clone(), letter.id);
                }
                let mut groups: Vec<LetterGroup> = groups.into_values().collect();
                groups.sort_by_key(|group| std::cmp::Reverse((group.letters, group.newest)));
                groups.truncate(limit as usize);
                Ok(groups)
            })
        })
    }

    fn act<'a>(
        &'a self,
        act: Act,
        ids: &'a [i64],
        by: &'a Actor,
    ) -> BoxFuture<'a, Result<Vec<Acted>, Error>> {
        let now = self.database.clock.now();
        Box::pin(async move {
            self.at_the_desk(|tables| {
                tables.check_acts(ids)?;
                let acted: Vec<Acted> = ids.iter().map(|id| tables.act(act, *id, now)).collect();
                let done = acted.iter().filter(|acted| **acted == Acted::Done).count();
                tables.write_down(now, by, act.as_str(), ids, done as u64);
                Ok(acted)
            })
        })
    }
}
