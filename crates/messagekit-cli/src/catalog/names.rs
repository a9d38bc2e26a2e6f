//! Names of files and of parts of a document, from names that any program may have chosen.

use messagekit_schema::canonical;
use serde_json::Value;

/// Longer names end in a hash: file systems allow 255 bytes, and other words are added.
const LONGEST: usize = 120;

/// Returns a name of `a-z 0-9 . - _` that no other text has.
///
/// An event type or topic in its usual form stays as it is. Every other byte is `_` with two hexadecimal digits, also a capital letter: some file
/// systems do not tell it from a small one.
pub(super) fn plain(text: &str) -> String {
    let mut name = String::new();
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if is_plain || (matches!(byte, b'.' | b'-') && !name.is_empty()) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("_{byte:02x}"));
        }
    }
    if name.is_empty() {
        return "_empty".to_owned();
    }
    if name.len() > LONGEST {
        let hash = canonical::hash(&Value::from(text));
        name.truncate(LONGEST - 35);
        name.push_str(&format!("_h{}", &hash[..32]));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_name_stays_in_its_folder_and_is_that_of_one_text() {
        assert_eq!(plain("orders.order-2.placed"), "orders.order-2.placed");
        let long = "a".repeat(500);
        let texts = [
            "",
            ".",
            "..",
            "../../etc/passwd",
            "/etc",
            "a\0b",
            "a_b",
            "a_5fb",
            "A",
            "a",
            "ü",
            "-rf",
            "_empty",
            &long,
            &long[1..],
        ];
        let names: BTreeSet<String> = texts.iter().map(|text| plain(text)).collect();
        assert_eq!(names.len(), texts.len(), "{names:?}");
        for name in names {
            let is_legal =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
            assert!(name.bytes().all(is_legal) && name.len() <= LONGEST, "{name}");
            assert!(!name.starts_with(['.', '-']), "{name}");
        }
    }
}
