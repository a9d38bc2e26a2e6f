//! Names everything that is wrong with the parts of a consumer, before it runs.

use std::num::NonZeroU32;

use super::OnFailure;
use super::options::Options;
use super::settings::SHORTEST_WINDOW;
use super::watch::{topic_list_problem, topic_problems};
use crate::Error;
use crate::handler::Router;
use crate::names::check_name;
use crate::store::{Inbox, has};
use crate::transport::Source;

/// Returns all problems of the parts.
pub(super) fn problems<S: Inbox, Src: Source>(
    name: &str,
    store: &S,
    source: &Src,
    router: &Router<S>,
    options: &Options,
) -> Vec<String> {
    let Options { deadline, window, key_lanes, on_failure, .. } = options;
    let mut problems: Vec<String> = router.problems().iter().map(Error::to_string).collect();
    problems.extend(check_name("consumer", name, 200).err().map(|error| error.to_string()));
    problems.extend(topic_list_problem(source.topics()));
    if source.capabilities().positions && !source.topics().is_empty() {
        // A queue has a name of its own, and may carry any topic.
        problems.extend(topic_problems(source.topics(), &router.topics()));
    }
    let mut refuse = |is_wrong: bool, problem: &str| {
        if is_wrong {
            problems.push(problem.to_owned());
        }
    };
    refuse(router.is_empty(), "no handler: add one with .on(handler)");
    if let Some(deadline) = deadline {
        refuse(deadline.is_zero(), "deadline of 0 would fail every message");
        let limit = store.transaction_timeout().filter(|limit| deadline > limit);
        if let Some(limit) = limit {
            let problem = format!(
                "deadline of {deadline:?} is longer than the store lets a transaction run, {limit:?}: shorten it, or \
                 give the store another transaction timeout"
            );
            refuse(true, &problem);
        }
    }
    let (sets_aside, runs_again) = (has::<S, S::FailedMessages>(), has::<S, S::Retries>());
    refuse(
        window.is_some() && !runs_again,
        "a dedup window needs a database that keeps failed messages and retries them: leave dedup_window out",
    );
    if let Some(window) = window.filter(|window| *window < SHORTEST_WINDOW) {
        let problem = format!("window of {window:?} is shorter than an hour: clocks and outages need more");
        refuse(true, &problem);
    }
    refuse(
        *key_lanes > NonZeroU32::MIN && !source.capabilities().any_order,
        "this source keeps its position in the transaction of the effects, so a lane has one of them at a time: leave key_lanes out",
    );
    refuse(
        *on_failure == Some(OnFailure::ParkKey) && sets_aside && !runs_again,
        "nothing remembers which keys are blocked: ParkKey needs a database that retries failed messages, use Block or DeadLetter",
    );
    refuse(
        on_failure.is_some_and(|policy| policy != OnFailure::Block) && !sets_aside,
        "the store keeps no failed messages, so a message that cannot be applied waits in its lane: use Block",
    );
    refuse(
        !sets_aside && router.keeps_unknown(),
        "the store keeps no failed messages, so there is no place for types without a handler: leave on_unknown out",
    );
    refuse(
        !sets_aside && (runs_again || has::<S, S::Attempts>()),
        "the store keeps no failed messages, so there is nothing to retry and no place for a message that ends its \
         process: make its Retries and Attempts Absent",
    );
    problems
}
