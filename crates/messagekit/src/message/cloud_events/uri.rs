//! URI references, as far as an attribute needs them.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// Returns whether a text can be a URI reference, by the characters and parts of RFC 3986.
pub(super) fn is_uri_reference(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=%".contains(&byte);
    let escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(at, _)| {
        bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let first_segment = text.split(['/', '?', '#']).next().unwrap_or_default();
    let has_sound_start = !first_segment.contains(':') || scheme_of(text).is_some();
    let fragments = bytes.iter().filter(|byte| **byte == b'#').count();
    !bytes.is_empty()
        && without_address(text).bytes().all(is_allowed)
        && escapes
        && has_sound_start
        && fragments <= 1
}

/// Returns the scheme of a URI, without which it is a reference only.
pub(super) fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme =
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_allowed);
    is_scheme.then_some(scheme)
}

/// Returns the text without the host of its authority if that is an address of version 6, which alone may have brackets.
fn without_address(text: &str) -> Cow<'_, str> {
    let address = text.split_once("//[").and_then(|(before, rest)| Some((before, rest.split_once(']')?)));
    match address {
        Some((before, (address, after)))
            if (before.is_empty() || before.ends_with(':')) && address.parse::<Ipv6Addr>().is_ok() =>
        {
            Cow::Owned(format!("{before}//{after}"))
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_reference_has_its_characters_and_parts() {
        for good in [
            "/till",
            "order-service",
            "urn:a:b",
            "https://a.example/b?c=d#e",
            "//[::1]:80/a",
            "http://[2001:db8::7]",
            "a%20b",
        ] {
            assert!(is_uri_reference(good), "{good}");
        }
        for bad in
            ["", "/till 7", "a%2", "ü", "1a:b", "a#b#c", "[::1]", "http://[x]/", "a/[::1]", "<a>", "a\n"]
        {
            assert!(!is_uri_reference(bad), "{bad:?}");
        }
    }
}
