//! Promises about the effects of handlers. A database reads the effects, and these compare them with the records.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::records::{Record, Reprocess};

/// Requires that the first effects of a key come in the order of its records, except those of undone messages. `effects` has the
/// time of the first effect of each message, in any unit.
pub fn out_of_order(
    log: &[Vec<Arc<Record>>],
    effects: &HashMap<String, i64>,
    undone: &HashSet<String>,
) -> Option<String> {
    for partition in log {
        let mut last: HashMap<&[u8], (i64, &str)> = HashMap::new();
        let mut seen = HashSet::new();
        for record in partition {
            let (Some(key), id) = (&record.received.message.key, record.id().as_str()) else { continue };
            if !seen.insert(id) || undone.contains(id) {
                continue;
            }
            let Some(effect) = effects.get(id) else { continue };
            if let Some((before, earlier)) = last.insert(key, (*effect, id))
                && before > *effect
            {
                return Some(format!("order of a key: {id} ran before {earlier}"));
            }
        }
    }
    None
}

/// Requires that an effect of a generation, with its message, belongs to a range of it.
pub fn out_of_range(
    log: &[Vec<Arc<Record>>],
    effects: impl IntoIterator<Item = (String, i32)>,
    ranges: &[Reprocess],
) -> Option<String> {
    for (message, generation) in effects {
        let range = ranges.iter().find(|range| range.generation == generation)?;
        let inside = &log[range.partition][range.from..range.until];
        if !inside.iter().any(|record| record.id().as_str() == message) {
            return Some(format!("generation {generation} of {message} lies outside its range"));
        }
    }
    None
}
