//! Logs the topics that do not exist when a consumer starts, as a warning when the name is like another one. A wrong name would otherwise wait
//! for ever without a word.

use std::sync::Arc;

use crate::chain;
use crate::transport::TopicList;

/// How alike two names are, from 0 to 1, to be shown as a possible meaning of each other.
const ALIKE: f64 = 0.6;
/// Number of names that are shown.
const SHOWN: usize = 3;

/// Logs the topics that are not in the list, once.
pub(in crate::consumer) async fn log_missing_topics(
    consumer: &str,
    topics: &[Arc<str>],
    list: Option<Arc<dyn TopicList>>,
) {
    let Some(list) = list else { return };
    let existing = match list.topics().await {
        Ok(existing) => existing,
        Err(error) => {
            tracing::info!(consumer, error = %chain(&error), "the topics cannot be compared with those that exist");
            return;
        }
    };
    for topic in topics.iter().filter(|topic| !existing.iter().any(|known| *known == ***topic)) {
        match nearest(topic, &existing) {
            near if near.is_empty() => {
                tracing::info!(consumer, %topic, "topic does not exist yet: its first record creates it");
            }
            near => {
                tracing::warn!(consumer, %topic, similar = near.join(", "), "topic does not exist: was a similar one meant?");
            }
        }
    }
}

/// Returns the names most like a topic, the most similar first.
fn nearest<'a>(topic: &str, existing: &'a [String]) -> Vec<&'a str> {
    let mut alike: Vec<(f64, &str)> = existing
        .iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(topic, known), known.as_str()))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    alike.into_iter().take(SHOWN).map(|(_, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_what_was_meant_and_nothing_else() {
        let existing = ["billing.bill", "orders.order", "orders.order.retry"].map(str::to_owned);
        assert_eq!(nearest("orders.ordre", &existing), ["orders.order", "orders.order.retry"]);
        assert_eq!(nearest("order.order", &existing)[0], "orders.order");
        assert_eq!(nearest("shipping.parcel", &existing), [""; 0]);
    }
}
