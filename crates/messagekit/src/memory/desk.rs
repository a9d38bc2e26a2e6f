//! What an operator does with dead letters in memory.

use super::MemoryStore;
use crate::Error;
use crate::dead_letters::{
    Act, Acted, Actor, DeadLetter, DeadLetters, LetterFilter, LetterGroup, LetterHead, LetterTotal,
};
use crate::store::BoxFuture;

impl DeadLetters for MemoryStore {
    fn list<'a>(&'a self, _: &'a LetterFilter, _: u32) -> BoxFuture<'a, Result<Vec<LetterHead>, Error>> {
        todo!()
    }
    fn ids<'a>(&'a self, _: &'a LetterFilter, _: u32) -> BoxFuture<'a, Result<Vec<i64>, Error>> {
        todo!()
    }
    fn show(&self, _: i64) -> BoxFuture<'_, Result<DeadLetter, Error>> {
        todo!()
    }
    fn totals<'a>(&'a self, _: &'a LetterFilter) -> BoxFuture<'a, Result<Vec<LetterTotal>, Error>> {
        todo!()
    }
    fn groups<'a>(&'a self, _: &'a LetterFilter, _: u32) -> BoxFuture<'a, Result<Vec<LetterGroup>, Error>> {
        todo!()
    }
    fn act<'a>(&'a self, _: Act, _: &'a [i64], _: &'a Actor) -> BoxFuture<'a, Result<Vec<Acted>, Error>> {
        todo!()
    }
}
