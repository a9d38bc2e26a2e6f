//! The addresses of a registry.

use messagekit::{Error, ErrorKind};
use ureq::http::Uri;

/// Reads addresses with commas between; returns them without a slash at their end.
pub(super) fn read(addresses: &str) -> Result<Vec<String>, Error> {
    addresses.split(',').map(|address| read_one(address.trim())).collect()
}

fn read_one(address: &str) -> Result<String, Error> {
    // The address is not part of the error: it may hold a password.
    let refused = |text: &'static str| Err(Error::new(ErrorKind::InvalidConfiguration, text));
    let Ok(uri) = address.parse::<Uri>() else {
        return refused("address of the schema registry is no URL like https://registry:8081");
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return refused("address of the schema registry is no URL like https://registry:8081");
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return refused("address of the schema registry holds a user: name it by `basic` instead");
    }
    if uri.query().is_some() || address.contains('#') {
        return refused("address of the schema registry has more than a path");
    }
    Ok(address.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_urls_with_a_path_at_most() {
        let read = |text| read(text).map_err(|error| (error.kind(), error.to_string()));
        assert_eq!(read("http://a:8081").unwrap(), ["http://a:8081"]);
        assert_eq!(
            read("https://a/apis/ccompat/v7/, http://b:1").unwrap(),
            ["https://a/apis/ccompat/v7", "http://b:1"]
        );
        for text in
            ["", "a:8081", "ftp://a", "http://", "http://a,", "http://a?x=1", "http://a#x", "http://a b"]
        {
            assert_eq!(read(text).unwrap_err().0, ErrorKind::InvalidConfiguration, "{text}");
        }
        let (_, text) = read("http://me:secret@a").unwrap_err();
        assert!(text.contains("`basic`") && !text.contains("secret"), "{text}");
    }
}
