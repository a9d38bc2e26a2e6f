//! The formats of plain values.

use serde_json::Value;

use super::shape::Shape;

/// Returns whether every value of one format has another.
///
/// Formats of integers are ranges, those of numbers are precisions; any other format is within itself only.
pub(super) fn is_within(base: &Shape, format: &str, other: &str) -> bool {
    match (range(format), range(other)) {
        (Some((low, high)), Some((lowest, highest))) if *base == Shape::Integer => {
            lowest <= low && high <= highest
        }
        _ => format == other || (format, other) == ("float", "double"),
    }
}

/// Returns whether a value has a format, as far as it is known: texts are not examined, and have none.
pub(super) fn has_value(format: &str, value: &Value) -> bool {
    let number = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    match (range(format), number) {
        (Some((low, high)), Some(number)) => (low..=high).contains(&number),
        _ => value.is_number(),
    }
}

/// Returns the range of an integer's format.
fn range(format: &str) -> Option<(i128, i128)> {
    let (is_signed, bits) = match format.strip_prefix("uint") {
        Some(bits) => (false, bits),
        None => (true, format.strip_prefix("int")?),
    };
    // The width of `isize` and `usize` is that of the machine.
    let bits: u32 = if bits.is_empty() { 64 } else { bits.parse().ok()? };
    if bits == 128 {
        // The upper half of `u128` is no JSON number that a program in Rust reads.
        return Some(if is_signed { (i128::MIN, i128::MAX) } else { (0, i128::MAX) });
    }
    if !(1..=64).contains(&bits) {
        return None;
    }
    Some(if is_signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_within_a_wider_one() {
        for (format, other) in [
            ("int32", "int64"),
            ("uint8", "int16"),
            ("uint32", "int64"),
            ("uint", "uint64"),
            ("int64", "int"),
            ("uint64", "int128"),
        ] {
            assert!(is_within(&Shape::Integer, format, other), "{format} in {other}");
        }
        for (format, other) in
            [("int64", "int32"), ("int8", "uint64"), ("uint64", "int64"), ("int32", "uuid")]
        {
            assert!(!is_within(&Shape::Integer, format, other), "{format} in {other}");
        }
        assert!(
            is_within(&Shape::Number, "float", "double") && !is_within(&Shape::Number, "double", "float")
        );
        assert!(is_within(&Shape::Text, "uuid", "uuid") && !is_within(&Shape::Text, "uuid", "uri"));
    }
}
