//! Links to the next page of a list.

/// Returns the link to the next page: the same query from another position.
pub(crate) fn next_link(query: Option<&str>, name: &str, value: &str) -> String {
    let kept = query.unwrap_or_default().split('&');
    let kept = kept.filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(name));
    let mut link: String = kept.map(|pair| format!("{pair}&")).collect();
    link.insert(0, '?');
    link.push_str(name);
    link.push('=');
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' | b',' => {
                link.push(char::from(byte));
            }
            byte => link.push_str(&format!("%{byte:02X}")),
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_keeps_the_filters() {
        assert_eq!(
            next_link(Some("state=dead&before=9&key=a%26b"), "before", "7"),
            "?state=dead&key=a%26b&before=7"
        );
        assert_eq!(
            next_link(None, "after", "2026-01-01T00:00:00Z/m 1"),
            "?after=2026-01-01T00:00:00Z%2Fm%201"
        );
    }
}
