//! What data may take.

/// The deepest nesting of a value. JSON is read up to 128 levels.
pub(super) const MAX_DEPTH: usize = 100;

/// The most bytes of JSON that data becomes.
const MAX_JSON: usize = 16 << 20;

/// Returns the most bytes of JSON for data of a size: an array of nulls takes no byte per item in Avro, and few bytes must not become
/// many. A byte of Avro stands for the name of a field or a symbol at most.
pub(super) fn max_json(bytes: usize) -> usize {
    (bytes.saturating_mul(100) + 64 * 1024).min(MAX_JSON)
}

/// The most bytes of a decimal number.
pub(super) const MAX_DECIMAL: usize = 256;
