//! The watcher of a store: a task that looks for all of its followers, as long as there are any.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::pace;
use super::session::Session;
use crate::SchemaName;
use crate::tables::commit_look::CommitLook;

/// Which commits wake a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// All of them: an operator may have asked for another run of a record.
    Commits,
    /// Those that give a topic records.
    Records,
}

/// How often looks have found something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    commits: u64,
    records: u64,
}

/// The watcher of a store, which runs while there are followers.
#[derive(Default)]
pub(crate) struct CommitWatcher {
    running: Mutex<Weak<Running>>,
    /// This store has committed.
    own: Arc<Notify>,
}

/// A task that ends with the last one who holds it.
struct Running {
    task: JoinHandle<()>,
    seen: watch::Receiver<Seen>,
}

/// What one follower has seen of the watcher.
pub(super) struct Subscription {
    _running: Arc<Running>,
    receiver: watch::Receiver<Seen>,
    seen: Seen,
}

impl CommitWatcher {
    /// Brings the next look forward, if there is a watcher.
    pub(crate) fn look_soon(&self) {
        self.own.notify_one();
    }

    /// Joins the watcher, and starts it when it does not run.
    pub(super) fn subscribe(&self, pool: &PgPool, schema: &SchemaName) -> Subscription {
        let mut known = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = known.upgrade().filter(|running| !running.task.is_finished()).unwrap_or_else(|| {
            let (sender, seen) = watch::channel(Seen::default());
            let session = Session::new(pool, schema.clone());
            let task = tokio::spawn(run(pool.clone(), session, self.own.clone(), sender));
            Arc::new(Running { task, seen })
        });
        *known = Arc::downgrade(&running);
        let receiver = running.seen.clone();
        let seen = *receiver.borrow();
        Subscription { _running: running, receiver, seen }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscription {
    /// Waits until a look has found what is watched. Returns false when the watcher has ended.
    pub(super) async fn changed(&mut self, watched: Watched) -> bool {
        let before = self.seen;
        let is_new = |now: &Seen| match watched {
            Watched::Commits => now.commits != before.commits,
            Watched::Records => now.records != before.records,
        };
        let Ok(now) = self.receiver.wait_for(is_new).await.map(|now| *now) else { return false };
        self.seen = now;
        true
    }
}

impl fmt::Debug for CommitWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("CommitWatcher").field("is_running", &(running.strong_count() > 0)).finish()
    }
}

/// Looks until the store is closed.
async fn run(pool: PgPool, mut session: Session, own: Arc<Notify>, seen: watch::Sender<Seen>) {
    let mut closed = std::pin::pin!(pool.close_event());
    let mut last: Option<CommitLook> = None;
    let mut last_records = Instant::now();
    loop {
        let began = Instant::now();
        let look = tokio::select! {
            () = &mut closed => return,
            look = session.look() => look,
        };
        // Without an answer nothing is known: followers ask for themselves, and get the error.
        let look = look.ok();
        let has_commits = look.is_none() || look != last;
        let has_records = look.as_ref().map(|look| &look.records) != last.as_ref().map(|look| &look.records)
            || look.is_none();
        if has_records && look.is_some() {
            last_records = began;
        }
        last = look;
        if has_commits {
            seen.send_modify(|seen| {
                seen.commits += 1;
                seen.records += u64::from(has_records);
            });
        }
        let now = Instant::now();
        let next = now + pace::pause(now - last_records, now - began);
        tokio::select! {
            () = &mut closed => return,
            () = sleep_until(next) => {}
            () = noticed(&mut session, &own) => sleep_until(began + pace::NOTICED).await,
        }
    }
}

/// Waits for a commit of this store, or the notice of another one.
async fn noticed(session: &mut Session, own: &Notify) {
    tokio::select! {
        () = session.noticed() => {}
        () = own.notified() => {}
    }
}
