//! What an operator does with dead letters in memory.

use super::MemoryStore;
use crate::dead_letters::{DeadLetter, DeadLetters, LetterFilter, LetterState};
use crate::message::type_in_headers;
use crate::store::BoxFuture;
use crate::{Error, ErrorKind};

fn matches(letter: &DeadLetter, filter: &LetterFilter) -> bool {
    let event_type = type_in_headers(&letter.received.message);
    filter.consumer.as_ref().is_none_or(|consumer| *consumer == letter.consumer)
        && filter.state.is_none_or(|state| state == letter.state)
        && filter.event_type.as_deref().is_none_or(|wanted| event_type == Some(wanted))
        && filter.before.is_none_or(|before| letter.id < before)
}

fn unknown(id: i64) -> Error {
    Error::new(ErrorKind::NotFound, "no such dead letter").with("letter", id)
}

impl DeadLetters for MemoryStore {
    fn list<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, Error>> {
        Box::pin(async move {
            Ok(self.tables(|tables| {
                let newest_first = tables.letters.values().rev().map(|letter| &letter.letter);
                newest_first.filter(|letter| matches(letter, filter)).take(limit as usize).cloned().collect()
            }))
        })
    }

    fn show(&self, id: i64) -> BoxFuture<'_, Result<DeadLetter, Error>> {
        Box::pin(async move {
            let found = self.tables(|tables| tables.letters.get(&id).map(|letter| letter.letter.clone()));
            found.ok_or_else(|| unknown(id))
        })
    }

    fn retry(&self, id: i64) -> BoxFuture<'_, Result<(), Error>> {
        let now = self.database.clock.now();
        Box::pin(async move {
            self.tables(|tables| {
                let known = tables.letters.get_mut(&id).ok_or_else(|| unknown(id))?;
                let letter = &mut known.letter;
                if letter.state != LetterState::Dead {
                    let text = format!("dead letter is {} and not dead", letter.state);
                    return Err(Error::new(ErrorKind::WrongState, text).with("letter", id));
                }
                (letter.state, letter.due, letter.changed_at) = (LetterState::Replaying, Some(now), now);
                (letter.attempts, letter.kills) = (0, 0);
                (known.token, known.running) = (known.token + 1, false);
                Ok(())
            })
        })
    }
}
