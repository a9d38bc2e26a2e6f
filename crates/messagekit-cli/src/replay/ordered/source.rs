//! What `--source` names.

use std::sync::Arc;

use jiff::tz::TimeZone;
use messagekit::log::Start;

use crate::input::{moment, span};

/// What may stand behind a topic.
const STARTS: &str = "earliest, latest, offset=7, ago=1h, at=2026-01-31T00:00:00Z, start-of-day=Europe/Berlin or committed=CONSUMER";

/// A topic, and where reading begins in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) topic: Arc<str>,
    pub(super) start: Start,
}

/// Parses `TOPIC:START`.
pub(super) fn source(text: &str) -> Result<Source, String> {
    let parts = text.split_once(':').filter(|(topic, _)| !topic.is_empty());
    let (topic, written) = parts.ok_or_else(|| format!("write TOPIC:START, where START is {STARTS}"))?;
    Ok(Source { topic: topic.into(), start: start(written)? })
}

fn start(text: &str) -> Result<Start, String> {
    match text.split_once('=').unwrap_or((text, "")) {
        ("earliest", "") => Ok(Start::Earliest),
        ("latest", "") => Ok(Start::Latest),
        ("offset", offset) => {
            let offset = offset.parse().ok().filter(|offset| *offset >= 0);
            offset.map(Start::Offset).ok_or_else(|| "write a number behind offset=".to_owned())
        }
        ("ago", age) => span(age).map(Start::Ago),
        ("at", time) => moment(time).map(Start::At),
        ("start-of-day", zone) => {
            let zone = TimeZone::get(zone).ok();
            zone.map(Start::StartOfDay)
                .ok_or_else(|| "no such time zone: write a name such as Europe/Berlin or UTC".to_owned())
        }
        ("committed", consumer) if !consumer.is_empty() => Ok(Start::Committed(consumer.into())),
        _ => Err(format!("write {STARTS} behind the topic")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_start_is_read_behind_its_topic() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let starts = [
            ("earliest", Start::Earliest),
            ("latest", Start::Latest),
            ("offset=7", Start::Offset(7)),
            ("ago=1h", Start::Ago(Duration::from_secs(3_600))),
            ("at=2026-01-31T00:00:00Z", Start::At("2026-01-31T00:00:00Z".parse().unwrap())),
            ("at=2026-01-31", Start::At("2026-01-31T00:00:00Z".parse().unwrap())),
            ("start-of-day=Europe/Berlin", Start::StartOfDay(berlin)),
            ("committed=billing", Start::Committed("billing".into())),
        ];
        for (text, start) in starts {
            let read = source(&format!("shop.orders:{text}")).unwrap();
            assert_eq!(read, Source { topic: "shop.orders".into(), start }, "{text}");
        }
    }

    #[test]
    fn what_is_no_source_says_what_to_write() {
        for text in ["shop.orders", ":earliest", "m:", "m:soon", "m:earliest=1", "m:committed=", "m:LATEST"] {
            let error = source(text).unwrap_err();
            assert!(error.contains("start-of-day=Europe/Berlin"), "{text}: {error}");
        }
        for (text, says) in [
            ("m:offset=-1", "a number"),
            ("m:offset=", "a number"),
            ("m:ago=soon", "30d"),
            ("m:at=yesterday", "2026-01-31"),
            ("m:start-of-day=Nowhere", "no such time zone"),
        ] {
            let error = source(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
