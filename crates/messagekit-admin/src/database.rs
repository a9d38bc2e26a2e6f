//! The databases of an admin, by name.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use messagekit::operations::{EventFilter, Operations, ReplayCount};
use messagekit::{Error, ErrorKind};
use messagekit_topics::operations::TopicOperations;
use serde::Serialize;
use tokio::sync::{Semaphore, oneshot};
use tracing::Instrument;
use utoipa::ToSchema;

use crate::parameters::Parameters;
use crate::problem::{Problem, is_away, unwell};

/// The time limit of a read, after which the caller gets an error: 5 seconds.
///
/// A store should end reads by the same limit, as that of PostgreSQL does with its option `read_timeout`. Otherwise
/// an abandoned read would continue in the database and hold a connection.
pub const READ_LIMIT: Duration = Duration::from_secs(5);
/// The time limit of a database's answer.
pub(crate) const DEADLINE: Duration = READ_LIMIT;
/// The time limit of a part without which the rest is an answer too: it ends before the whole.
const PART_DEADLINE: Duration = Duration::from_millis(4_500);
/// How long a response waits for the end of an action.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How many counts of one database may scan its whole outbox at once.
const COUNTS: usize = 2;

#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) name: Arc<str>,
    pub(crate) store: Arc<dyn Operations>,
    /// Its topics, if they are served.
    pub(crate) topics: Option<Arc<dyn TopicOperations>>,
    /// Permits to scan the whole outbox.
    counting: Arc<Semaphore>,
    /// Permits to select events for a replay.
    pub(crate) ordering: Arc<Semaphore>,
}

impl Database {
    pub(crate) fn new(
        name: Arc<str>,
        store: Arc<dyn Operations>,
        topics: Option<Arc<dyn TopicOperations>>,
    ) -> Self {
        Self {
            name,
            store,
            topics,
            counting: Arc::new(Semaphore::new(COUNTS)),
            ordering: Arc::new(Semaphore::new(1)),
        }
    }

    /// Waits for an answer until the deadline.
    pub(crate) async fn within<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        within(DEADLINE, answer).await
    }

    /// Waits for a part of an answer. The error is a part that did not come, in words for the caller.
    ///
    /// # Errors
    /// Returns the error of the database if it is neither away nor slow.
    pub(crate) async fn part<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, &'static str>, Error> {
        match within(PART_DEADLINE, answer).await {
            Ok(part) => Ok(Ok(part)),
            Err(error) => self.away(error).map(Err),
        }
    }

    /// Logs why an answer did not come, and returns it in words for the caller.
    ///
    /// # Errors
    /// Returns the error itself if the database is neither away nor slow.
    fn away(&self, error: Error) -> Result<&'static str, Error> {
        if !is_away(error.kind()) {
            return Err(error);
        }
        tracing::warn!(database = &*self.name, error = %messagekit::chain(&error), "database does not answer");
        Ok(unwell(error.kind()))
    }

    /// Waits for a result that the response depends on, until the deadline.
    pub(crate) async fn ask<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Problem> {
        self.within(answer).await.map_err(|error| Problem::of(&self.name, &error))
    }

    /// Waits for an action to its end: abandoning it would leave its caller in doubt.
    pub(crate) async fn act<T>(&self, act: impl Future<Output = Result<T, Error>>) -> Result<T, Problem> {
        act.await.map_err(|error| Problem::of(&self.name, &error))
    }

    /// Runs an action to its end, even if the caller disconnects. Returns `None` if it takes longer than a response
    /// waits: it continues, and the log shows its failure.
    pub(crate) async fn act_through<T, F>(
        &self,
        act: impl FnOnce(Arc<dyn Operations>) -> F,
    ) -> Result<Option<T>, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (act, name) = (act(self.store.clone()), self.name.clone());
        let (tell, told) = oneshot::channel();
        let work = async move {
            if let Err(Err(error)) = tell.send(act.await) {
                tracing::warn!(database = &*name, error = %messagekit::chain(&error), "an act failed after its answer");
            }
        };
        tokio::spawn(work.in_current_span());
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(done)) => done.map(Some).map_err(|error| Problem::of(&self.name, &error)),
            Ok(Err(_)) => {
                Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the act met a fault of this program"))
            }
            Err(_) => Ok(None),
        }
    }

    /// Counts the events that a replay would publish. Only a few counts run at once, and an abandoned one keeps its
    /// permit as long as its database works on it.
    pub(crate) async fn count(&self, filter: EventFilter) -> Result<ReplayCount, Problem> {
        let counted = async {
            let busy = || Error::new(ErrorKind::Unavailable, "counts are still running");
            let turn = self.counting.clone().acquire_owned().await.map_err(|_| busy())?;
            let store = self.store.clone();
            let count = tokio::spawn(async move {
                let count = store.replay_count(&filter).await;
                drop(turn);
                count
            });
            count.await.unwrap_or_else(|fault| {
                Err(Error::new(ErrorKind::Other, "a count met a fault").caused_by(fault))
            })
        };
        self.ask(counted).await
    }
}

async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Unavailable, format!("no answer within {} s", limit.as_secs_f64())))
    })
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.name, f)
    }
}

/// Returns whether a database may have this name here: 1 to 63 of `a-z 0-9 _ -`. Such a name needs no escaping in a
/// query or cursor.
pub fn is_database_name(name: &str) -> bool {
    let usable = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (1..=63).contains(&name.len()) && name.bytes().all(usable)
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Databases(pub(crate) Arc<[Database]>);

impl Databases {
    /// Returns the databases of a request: the named one, or all without a name.
    pub(crate) fn meant(&self, name: Option<&str>) -> Result<&[Database], Problem> {
        let Some(name) = name else { return Ok(&self.0) };
        let index = self.0.iter().position(|database| &*database.name == name);
        let index = index.ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_FOUND,
                format!("there is no database of this name: {}", self.names()),
            )
        })?;
        Ok(&self.0[index..=index])
    }

    /// Returns the database of a request; a single database need not be named.
    pub(crate) fn one(&self, name: Option<&str>) -> Result<&Database, Problem> {
        match self.meant(name)? {
            [only] => Ok(only),
            _ => Err(Problem::refused(format!("database is not said: {}", self.names()))),
        }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|database| &*database.name).collect();
        format!("name one of {}", names.join(", "))
    }
}

/// A database that did not answer: its data is missing in the response.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Unreachable {
    /// Its name.
    pub database: String,
    /// The known reason.
    pub error: String,
}

/// The answers of databases, and the databases that did not answer.
#[derive(Debug)]
pub(crate) struct Answers<'a, T> {
    pub(crate) answered: Vec<(&'a Database, T)>,
    pub(crate) unreachable: Vec<Unreachable>,
}

/// Queries all databases concurrently, and names those that do not answer. Fails if none answers.
pub(crate) async fn ask_all<'a, T, F>(
    databases: &'a [Database],
    question: impl Fn(&'a Database) -> F,
) -> Result<Answers<'a, T>, Problem>
where
    F: Future<Output = Result<T, Error>>,
{
    let answers = ask_each(databases, question).await?;
    if answers.answered.is_empty() {
        let told: Vec<String> = answers
            .unreachable
            .iter()
            .map(|one| format!("database {} {}", one.database, one.error))
            .collect();
        return Err(Problem::unavailable(format!("{}: try again", told.join(", "))));
    }
    Ok(answers)
}

/// The same, where no answer is an answer too.
pub(crate) async fn ask_each<'a, T, F>(
    databases: impl IntoIterator<Item = &'a Database>,
    question: impl Fn(&'a Database) -> F,
) -> Result<Answers<'a, T>, Problem>
where
    F: Future<Output = Result<T, Error>>,
{
    let asked = databases.into_iter().map(|database| {
        let answer = question(database);
        async move { (database, database.within(answer).await) }
    });
    let mut answers = Answers { answered: Vec::new(), unreachable: Vec::new() };
    for (database, answer) in futures_util::future::join_all(asked).await {
        match answer {
            Ok(answer) => answers.answered.push((database, answer)),
            Err(error) => {
                let error = database.away(error).map_err(|error| Problem::of(&database.name, &error))?;
                let (database, error) = (database.name.to_string(), error.to_owned());
                answers.unreachable.push(Unreachable { database, error });
            }
        }
    }
    Ok(answers)
}

/// The database of a request.
#[derive(Debug, Default, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// The database; optional if there is only one.
    #[param(min_length = 1, max_length = 63, pattern = "^[a-z0-9_-]{1,63}$")]
    pub(crate) database: Option<String>,
}

impl crate::parameters::FromParameters for Which {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { database: parameters.text("database")? })
    }
}
