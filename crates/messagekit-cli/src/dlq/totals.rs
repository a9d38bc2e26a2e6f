//! Totals of failed messages in words.

use messagekit::operations::{FailedMessageState, FailedMessageTotal};

use crate::output::number;

/// `5 failed messages: 3 dead, 2 retry_scheduled`.
pub(super) fn in_words(totals: &[FailedMessageTotal]) -> String {
    let count = |state| {
        let failed_messages = totals
            .iter()
            .filter(|total| total.state == state)
            .map(|total| total.failed_messages)
            .sum::<u64>();
        (failed_messages > 0).then(|| format!("{} {state}", number(failed_messages)))
    };
    let states: Vec<String> = FailedMessageState::ALL.into_iter().filter_map(count).collect();
    let all = totals.iter().map(|total| total.failed_messages).sum::<u64>();
    let failed_messages = if all == 1 { "failed message" } else { "failed messages" };
    format!("{} {failed_messages}: {}", number(all), states.join(", "))
}
