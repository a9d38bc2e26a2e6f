//! Compares the topics of the rules with those that the source reads.

use std::collections::HashSet;
use std::sync::Arc;

use super::Rule;

/// Returns what is wrong with the topics of the rules. The source reads `read`; the bridge itself writes to
/// `dead_letters`.
pub(super) fn problems(
    rules: &[Rule],
    read: &[Arc<str>],
    retry_topic: &Arc<str>,
    dead_letters: Option<&Arc<str>>,
) -> Vec<String> {
    let (mut problems, mut ruled) = (Vec::new(), HashSet::new());
    for rule in rules {
        if rule.topics.is_empty() {
            problems.push("rule without topics forwards nothing".to_owned());
        }
        for topic in &rule.topics {
            if Some(topic) == dead_letters || topic == retry_topic {
                problems.push(format!(
                    "topic {topic} is the bridge's own: a rule would forward its dead letters"
                ));
            }
            if !read.contains(topic) {
                problems.push(format!("source does not read topic {topic}, which a rule names"));
            }
            if !ruled.insert(topic) {
                problems.push(format!("topic {topic} stands in two rules"));
            }
        }
    }
    for topic in read {
        if !ruled.contains(topic) && topic != retry_topic {
            problems.push(format!("source reads topic {topic}, which no rule names"));
        }
    }
    if !read.contains(retry_topic) {
        problems.push(format!("source does not read {retry_topic}, where repaired copies return"));
    }
    problems
}
