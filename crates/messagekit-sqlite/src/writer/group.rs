//! One-shot jobs, committed together.

use std::any::Any;
use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;

use messagekit::{Error, ErrorKind};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::guard::{Guarded, Open, aborted};
use crate::error::from_sqlite;

/// The most jobs of one commit.
pub(crate) const MAX_GROUP: usize = 512;

/// A unit of work that may share a commit with others. It may run twice.
pub(crate) trait Job: Send {
    fn run(&mut self, conn: &Connection) -> Result<(), Error>;
    fn committed(self: Box<Self>);
    fn failed(self: Box<Self>, error: Error);
    fn panicked(self: Box<Self>, panic: Box<dyn Any + Send>);
}

/// The result for the caller of a job; the outer error is a panic.
pub(crate) type Answer<R> = thread::Result<Result<R, Error>>;

struct JobOf<F, R> {
    work: F,
    result: Option<R>,
    answer: oneshot::Sender<Answer<R>>,
}

/// Creates a job from a closure.
pub(crate) fn job<F, R>(work: F, answer: oneshot::Sender<Answer<R>>) -> Box<dyn Job>
where
    F: FnMut(&Connection) -> Result<R, Error> + Send + 'static,
    R: Send + 'static,
{
    Box::new(JobOf { work, result: None, answer })
}

// The caller may be gone: a dropped call does not stop its job.
impl<F, R> Job for JobOf<F, R>
where
    F: FnMut(&Connection) -> Result<R, Error> + Send,
    R: Send,
{
    fn run(&mut self, conn: &Connection) -> Result<(), Error> {
        self.result = Some((self.work)(conn)?);
        Ok(())
    }

    fn committed(self: Box<Self>) {
        let result = self.result.expect("a committed job has run");
        self.answer.send(Ok(Ok(result))).ok();
    }

    fn failed(self: Box<Self>, error: Error) {
        self.answer.send(Ok(Err(error))).ok();
    }

    fn panicked(self: Box<Self>, panic: Box<dyn Any + Send>) {
        self.answer.send(Err(panic)).ok();
    }
}

enum Failure {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

impl Failure {
    /// A full or broken disk fails the other jobs too, and trying each alone would double the work.
    fn is_everybodys(&self) -> bool {
        let Self::Error(error) = self else { return false };
        // A failed message or record that contradicts another has no error of SQLite as its source.
        matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Corrupt)
            && error.source().is_some_and(|source| source.is::<rusqlite::Error>())
    }

    fn answer(self, job: Box<dyn Job>) {
        match self {
            Self::Error(error) => job.failed(error),
            Self::Panic(panic) => job.panicked(panic),
        }
    }
}

/// Runs jobs in one transaction and sends all results; returns whether a transaction was committed.
///
/// The first attempt has no savepoints, which cost a fifth. When a job fails, everything runs again with a savepoint
/// each. `on_commit` is called between the commit and the results.
pub(crate) fn run(guarded: &Rc<Guarded>, mut jobs: Vec<Box<dyn Job>>, on_commit: impl FnOnce()) {
    let open = match guarded.begin(None) {
        Ok(open) => open,
        Err(error) => return fail(jobs, &error),
    };
    match jobs.iter_mut().try_for_each(|job| run_one(job, &open)) {
        Ok(()) => finish(open, jobs, on_commit),
        Err(Failure::Error(error)) if Failure::Error(error.clone()).is_everybodys() => {
            drop(open);
            fail(jobs, &error);
        }
        Err(failure) => {
            drop(open);
            match <[_; 1]>::try_from(jobs) {
                Ok([job]) => failure.answer(job),
                Err(jobs) => run_apart(guarded, jobs, on_commit),
            }
        }
    }
}

fn run_apart(guarded: &Rc<Guarded>, mut jobs: Vec<Box<dyn Job>>, on_commit: impl FnOnce()) {
    while !jobs.is_empty() {
        let open = match guarded.begin(None) {
            Ok(open) => open,
            Err(error) => return fail(jobs, &error),
        };
        let mut next = 0;
        while next < jobs.len() && open.is_intact() {
            let outcome =
                execute(&open, "SAVEPOINT messagekit_job").and_then(|()| run_one(&mut jobs[next], &open));
            let Err(failure) = outcome.and_then(|()| execute(&open, "RELEASE messagekit_job")) else {
                next += 1;
                continue;
            };
            if let Failure::Error(error) = &failure
                && failure.is_everybodys()
            {
                drop(open);
                return fail(jobs, error);
            }
            failure.answer(jobs.remove(next));
            if open.is_intact()
                && execute(&open, "ROLLBACK TO messagekit_job")
                    .and_then(|()| execute(&open, "RELEASE messagekit_job"))
                    .is_err()
            {
                break;
            }
        }
        // Otherwise a job has ended the whole transaction: begin again without it.
        if next == jobs.len() && open.is_intact() {
            return finish(open, jobs, on_commit);
        }
    }
}

fn run_one(job: &mut Box<dyn Job>, open: &Open) -> Result<(), Failure> {
    match catch_unwind(AssertUnwindSafe(|| job.run(open.conn()))) {
        Ok(Ok(())) if open.is_intact() => Ok(()),
        Ok(Ok(())) => Err(Failure::Error(aborted())),
        Ok(Err(error)) => Err(Failure::Error(error)),
        Err(panic) => Err(Failure::Panic(panic)),
    }
}

fn execute(open: &Open, sql: &str) -> Result<(), Failure> {
    let run = || open.conn().prepare_cached(sql)?.execute([]);
    run().map(drop).map_err(|error| Failure::Error(from_sqlite(error)))
}

fn finish(open: Open, jobs: Vec<Box<dyn Job>>, on_commit: impl FnOnce()) {
    match open.commit() {
        Ok(()) => {
            on_commit();
            jobs.into_iter().for_each(Job::committed);
        }
        Err(error) => fail(jobs, &error),
    }
}

fn fail(jobs: Vec<Box<dyn Job>>, error: &Error) {
    for job in jobs {
        job.failed(error.clone());
    }
}
