//! Pages over several databases: newest first, with a position in each database.

use axum::Json;
use messagekit::Error;
use utoipa::IntoParams;

use crate::InDatabase;
use crate::app::App;
use crate::database::{Database, Which, ask_all};
use crate::list::{List, Paged};
use crate::parameters::{FromParameters, Parameters};
use crate::problem::Problem;

/// The most entries of a page.
pub(crate) const MAX_LIMIT: u32 = 200;
/// The default number of entries of a page.
pub(crate) const LIMIT: u32 = 100;

/// The start of a page: the number below which each database continues. A number without a name means the only
/// database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position(Vec<(Option<String>, i64)>);

impl Position {
    pub(crate) fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        let Some(bytes) = parameters.bytes("before")? else { return Ok(Self::default()) };
        let position = std::str::from_utf8(&bytes).ok().and_then(Self::read);
        position.ok_or_else(|| {
            Problem::refused("parameter before is not a number, nor taken from a link to the next page")
        })
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number > 0);
        if let Some(number) = number(text) {
            return Some(Self(vec![(None, number)]));
        }
        let parts = text.split(',').map(|part| {
            let (name, before) = part.split_once(':')?;
            Some((Some(name.to_owned()), number(before)?))
        });
        parts.collect::<Option<Vec<_>>>().map(Self)
    }

    fn before(&self, database: &Database) -> Option<i64> {
        let own = |name: &Option<String>| name.as_deref().is_none_or(|name| name == &*database.name);
        self.0.iter().find(|(name, _)| own(name)).map(|(_, before)| *before)
    }
}

/// The size and start of a page.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The most entries of the page; 100 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Only those below this number: from the link to the next page.
    #[param(value_type = Option<String>, pattern = "^[1-9][0-9]{0,17}$")]
    before: Position,
}

impl FromParameters for PageQuery {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { limit: parameters.number("limit", 1..=MAX_LIMIT)?, before: Position::take(parameters)? })
    }
}

impl PageQuery {
    pub(crate) fn limit(&self) -> u32 {
        self.limit.unwrap_or(LIMIT)
    }

    pub(crate) fn before(&self) -> &Position {
        &self.before
    }
}

/// Returns a page over several databases. `list` returns the entries below a number, greatest first.
pub(crate) async fn page<'a, T: Paged, F>(
    databases: &'a [Database],
    position: &Position,
    limit: u32,
    list: impl Fn(&'a Database, Option<i64>, u32) -> F,
) -> Result<List<T>, Problem>
where
    F: Future<Output = Result<Vec<T>, Error>>,
{
    if position.0.len() > 1 && databases.len() == 1
        || databases.len() > 1 && position.0.iter().any(|(name, _)| name.is_none())
    {
        return Err(Problem::refused("parameter before is of another list of databases"));
    }
    // One entry more than the page shows whether there is a next page.
    let answers = ask_all(databases, |database| list(database, position.before(database), limit + 1)).await?;
    let mut lists: Vec<_> = answers
        .answered
        .into_iter()
        .map(|(database, entries)| (database, entries.into_iter().peekable(), position.before(database)))
        .collect();
    let mut entries = Vec::new();
    while entries.len() < limit as usize {
        // Each list keeps the order of its numbers, whatever its times are.
        let newest = lists.iter_mut().filter_map(|list| {
            let time = list.1.peek()?.time();
            Some((time, list))
        });
        let Some((_, (database, list, before))) = newest.max_by_key(|(time, _)| *time) else { break };
        let Some(entry) = list.next() else { break };
        *before = Some(entry.number());
        entries.push(InDatabase::new(&*database.name, entry));
    }
    let more = lists.iter_mut().any(|list| list.1.peek().is_some());
    let next = more.then(|| match (databases, &lists[..]) {
        ([_], [(_, _, Some(before))]) => before.to_string(),
        _ => {
            let reached = lists.iter().filter_map(|(database, _, before)| Some((&database.name, (*before)?)));
            let missing = answers.unreachable.iter().filter_map(|missing| {
                let database = databases.iter().find(|database| *database.name == *missing.database)?;
                Some((&database.name, position.before(database)?))
            });
            let parts: Vec<String> =
                reached.chain(missing).map(|(name, before)| format!("{name}:{before}")).collect();
            parts.join(",")
        }
    });
    Ok(List { entries, unreachable: answers.unreachable, next })
}

/// Answers with a page over the databases that a request means. `read` returns the entries of one below a number, greatest first.
pub(crate) async fn answer_page<'a, T: Paged, F>(
    app: &'a App,
    which: &Which,
    (part, query): (&PageQuery, Option<&str>),
    read: impl Fn(&'a Database, Option<i64>, u32) -> F,
) -> Result<Json<List<T>>, Problem>
where
    F: Future<Output = Result<Vec<T>, Error>>,
{
    let databases = app.databases.meant(which.database.as_deref())?;
    let list = page(databases, part.before(), part.limit(), read).await?;
    Ok(Json(list.linked(query, "before")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_a_number_or_one_per_database() {
        assert_eq!(Position::read("12"), Some(Position(vec![(None, 12)])));
        let two = Position(vec![(Some("a".to_owned()), 1), (Some("b".to_owned()), 2)]);
        assert_eq!(Position::read("a:1,b:2"), Some(two));
        for text in ["", "0", "-1", "a", "a:", "a:x", "a:1,", ":", "99999999999999999999"] {
            assert_eq!(Position::read(text), None, "{text}");
        }
    }
}
