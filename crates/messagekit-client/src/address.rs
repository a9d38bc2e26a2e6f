//! Where a server is.

use hyper::Uri;
use messagekit::{Error, ErrorKind};

/// The address of a server: `http://host:port` or `https://host`, and a path in front of its own, if a proxy has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    is_secure: bool,
    host: String,
    path: String,
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for another scheme, and for a URL with a user, a password or a query. It does not repeat
    /// the URL, which may hold a password.
    pub(crate) fn read(url: &str) -> Result<Self, Error> {
        const FORM: &str = "url is not like http://host:port or https://host:port";
        let refused = |text| Error::new(ErrorKind::InvalidConfiguration, text);
        let uri: Uri = url.parse().map_err(|_| refused(FORM))?;
        match (uri.scheme_str(), uri.authority()) {
            (Some("https"), _) if cfg!(not(feature = "tls")) => {
                Err(refused("https needs the feature `tls` of messagekit-client"))
            }
            (Some(scheme @ ("http" | "https")), Some(authority))
                if !authority.as_str().contains('@') && !uri.host().unwrap_or_default().is_empty() =>
            {
                if uri.query().is_some() {
                    return Err(refused("url has a query: name the database with the option of that name"));
                }
                let path = uri.path().trim_end_matches('/').to_owned();
                Ok(Self { is_secure: scheme == "https", host: authority.as_str().to_owned(), path })
            }
            _ => Err(refused(FORM)),
        }
    }

    /// Returns the URL of a route.
    pub(crate) fn route(&self, name: &str, query: &str) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}{}/v1/api/topics/{name}{query}", self.host, self.path)
    }

    /// Returns whether connections to it speak TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Returns host and port, for errors.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_path_if_any() {
        for (url, wanted) in [
            ("http://127.0.0.1:9464", "http://127.0.0.1:9464/v1/api/topics/ack"),
            ("http://[::1]:9464/", "http://[::1]:9464/v1/api/topics/ack"),
            ("http://shop/messagekit/", "http://shop/messagekit/v1/api/topics/ack"),
            #[cfg(feature = "tls")]
            ("https://shop/", "https://shop/v1/api/topics/ack"),
        ] {
            assert_eq!(Address::read(url).unwrap().route("ack", ""), wanted);
        }
    }

    #[test]
    fn another_address_is_refused_without_its_password() {
        for url in [
            "",
            "shop:9464",
            "ftp://shop",
            "https://",
            "https://a:hunter2@shop",
            "http://",
            "http://a:hunter2@shop",
            "http://shop/?a=hunter2",
        ] {
            let error = Address::read(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{url}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
