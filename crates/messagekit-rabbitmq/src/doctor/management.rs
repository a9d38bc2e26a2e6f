//! The management interface of the broker. Every call has a time limit.

use std::fmt;
use std::time::Duration;

use messagekit::{Error, ErrorKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::Agent;

/// The time limit of one call.
const CALL: Duration = Duration::from_secs(10);

/// The most bytes of an answer: a list of some ten thousand queues.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address of the interface, and the login.
#[derive(Clone)]
pub(super) struct Management {
    scheme: String,
    place: String,
    login: String,
}

/// An answer, and the time at which the broker sent it, if it said so.
pub(super) struct Answer {
    pub(super) body: Value,
    pub(super) date: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Missing {
    Silent(Error),
    /// The status of the refusal.
    Refused(u16),
    Strange(String),
}

impl Management {
    pub(super) fn new(scheme: &str, place: &str, user: &str, password: &str) -> Self {
        let login = format!("{}:{}", encoded(user), encoded(password));
        Self { scheme: scheme.to_owned(), place: place.to_owned(), login }
    }

    /// Returns the interface at another URL; `None` for a text that is none. A login in the URL replaces the other one.
    pub(super) fn at(mut self, url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let place = place.trim_end_matches('/');
        let is_place =
            !place.is_empty() && !place.contains(|one: char| one.is_whitespace() || "/?#".contains(one));
        if !matches!(scheme, "http" | "https") || !is_place {
            return None;
        }
        if let Some(login) = login {
            self.login = login.to_owned();
        }
        (self.scheme, self.place) = (scheme.to_owned(), place.to_owned());
        Some(self)
    }

    /// Returns the URL without the login.
    pub(super) fn address(&self) -> String {
        format!("{}://{}", self.scheme, self.place)
    }

    pub(super) fn get(&self, path: &str) -> Result<Answer, Missing> {
        let agent: Agent =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(CALL)).build().into();
        let url = format!("{}://{}@{}/api/{path}", self.scheme, self.login, self.place);
        let silent = |error: ureq::Error| {
            let text = match &error {
                ureq::Error::Timeout(_) => "no answer in time",
                ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
                    "no connection"
                }
                _ => "no answer that can be read",
            };
            // The source could repeat the URL with its login.
            Missing::Silent(Error::new(ErrorKind::Unavailable, text))
        };
        let mut answer = agent.get(url).call().map_err(silent)?;
        let status = answer.status().as_u16();
        if matches!(status, 401 | 403) {
            return Err(Missing::Refused(status));
        }
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
        let text = answer.body_mut().with_config().limit(MOST_BYTES).read_to_string().map_err(silent)?;
        let strange =
            |what: String| Missing::Strange(format!("{what}: is this RabbitMQ's management interface?"));
        if status != 200 {
            return Err(strange(format!("{path} at {} is answered with HTTP {status}", self.address())));
        }
        let body = serde_json::from_str(&text).map_err(|_| strange(format!("{path} is not JSON")))?;
        Ok(Answer { body, date })
    }
}

impl fmt::Debug for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Management").field(&self.address()).finish()
    }
}

/// Encodes a part of a URL.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_replace_the_login_which_is_never_shown() {
        let usual = Management::new("http", "broker:15672", "me", "p@ss:word/");
        assert_eq!(usual.login, "me:p%40ss%3Aword%2F");
        let other = usual.clone().at("https://you:hunter2@proxy:443/").unwrap();
        assert_eq!((other.address(), &*other.login), ("https://proxy:443".to_owned(), "you:hunter2"));
        assert!(!format!("{other:?} {usual:?}").contains("hunter2"), "{other:?}");
        for wrong in ["", "broker:15672", "ftp://x", "http://", "http://a b", "http://a/b"] {
            assert!(usual.clone().at(wrong).is_none(), "{wrong}");
        }
    }
}
