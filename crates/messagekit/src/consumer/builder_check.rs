//! Names everything that is wrong with the parts of a consumer, before it runs.

use std::num::NonZeroU32;

use super::options::Options;
use super::settings::SHORTEST_WINDOW;
use super::{OnFailure, topic_check};
use crate::Error;
use crate::handler::Router;
use crate::names::check_name;
use crate::store::Inbox;
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
    problems.extend(topic_check::problem_of_list(source.topics()));
    if source.capabilities().positions && !source.topics().is_empty() {
        // A queue has a name of its own, and may carry any topic.
        problems.extend(topic_check::problems(source.topics(), &router.topics()));
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
    refuse(
        window.is_some() && !S::RUNS_AGAIN,
        "without a database nothing is deduplicated, so there is no window",
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
        *on_failure == Some(OnFailure::ParkKey) && !S::RUNS_AGAIN,
        "nothing remembers which keys are blocked: ParkKey needs a database, use Block or DeadLetter",
    );
    problems
}
