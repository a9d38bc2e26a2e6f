//! The desk where people look at dead letters.

use messagekit::{
    Act, Acted, Actor, BoxFuture, DeadLetter, DeadLetters, Error, LetterFilter, LetterGroup, LetterHead,
    LetterTotal,
};

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::tables::{acts, desk, now};

/// A retried letter runs in the process that consumes; which one that is does not matter to the desk.
impl DeadLetters for SqliteStore {
    fn list<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LetterHead>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| desk::list(conn, &filter, limit)))
    }

    fn ids<'a>(&'a self, filter: &'a LetterFilter, limit: u32) -> BoxFuture<'a, Result<Vec<i64>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| desk::ids(conn, &filter, limit).map_err(from_sqlite)))
    }

    fn show(&self, id: i64) -> BoxFuture<'_, Result<DeadLetter, Error>> {
        Box::pin(self.query(move |conn| desk::show(conn, id)))
    }

    fn totals<'a>(&'a self, filter: &'a LetterFilter) -> BoxFuture<'a, Result<Vec<LetterTotal>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| desk::totals(conn, &filter)))
    }

    fn groups<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LetterGroup>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| desk::groups(conn, &filter, limit)))
    }

    fn act<'a>(
        &'a self,
        act: Act,
        ids: &'a [i64],
        by: &'a Actor,
    ) -> BoxFuture<'a, Result<Vec<Acted>, Error>> {
        let (ids, by, now) = (ids.to_vec(), by.clone(), now());
        Box::pin(self.job(move |conn| acts::act(conn, act, &ids, &by, now)))
    }
}
