//! Compares the topics of a source with the events that handlers take.

use std::sync::Arc;

use crate::names::check_topic;

/// Returns the problems of the topics of a log.
pub(in crate::consumer) fn topic_problems(
    topics: &[Arc<str>],
    handled: &[(&str, &'static str)],
) -> Vec<String> {
    let ill_formed =
        topics.iter().filter_map(|topic| check_topic(topic).err()).map(|error| error.to_string());
    let unread = handled.iter().filter(|(_, topic)| !topics.iter().any(|read| reads(read, topic)));
    let unread = unread.map(|(event_type, topic)| {
        let topics = topics.join(", ");
        format!(
            "{event_type} is published to topic {topic}, and the source reads {topics}: add the topic to the source, \
             or correct `topic` in #[event(…)]"
        )
    });
    ill_formed.chain(unread).collect()
}

/// Returns whether events of a topic arrive in the topic that a source reads, which may have the prefix of an environment.
fn reads(read: &str, topic: &str) -> bool {
    read.ends_with(topic)
}

/// Returns the problem of a list of topics or queues.
pub(in crate::consumer) fn topic_list_problem(topics: &[Arc<str>]) -> Option<String> {
    if topics.is_empty() {
        return Some("a source without topics delivers nothing: name one".to_owned());
    }
    let twice = topics.iter().enumerate().find(|(index, topic)| topics[..*index].contains(topic));
    twice.map(|(_, topic)| format!("the source names {topic} twice: keep one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics<const N: usize>(names: [&str; N]) -> Vec<Arc<str>> {
        names.into_iter().map(Arc::from).collect()
    }

    #[test]
    fn topics_of_an_environment_carry_the_events() {
        let handled = [("orders.order.placed", "orders.order")];
        for read in ["orders.order", "test.orders.order"] {
            assert_eq!(topic_problems(&topics(["bills", read]), &handled), [""; 0], "{read}");
        }
        let problem = topic_problems(&topics(["orders.ordre", "bills"]), &handled).join("");
        assert!(
            problem.contains("topic orders.order") && problem.contains("reads orders.ordre, bills"),
            "{problem}"
        );
    }

    #[test]
    fn a_list_names_each_topic_once() {
        assert_eq!(topic_list_problem(&topics(["a", "b"])), None);
        assert!(topic_list_problem(&[]).is_some_and(|problem| problem.contains("without topics")));
        assert!(
            topic_list_problem(&topics(["a", "b", "a"]))
                .is_some_and(|problem| problem.contains("names a twice"))
        );
    }
}
