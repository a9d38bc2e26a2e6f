//! What `--until` says.

use jiff::Timestamp;

use crate::input::moment;

/// When reading ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Live,
    Never,
    Time(Timestamp),
}

/// Parses `live`, `never` or a time.
pub(super) fn until(text: &str) -> Result<Until, String> {
    match text {
        "live" => Ok(Until::Live),
        "never" => Ok(Until::Never),
        _ => moment(text).map(Until::Time).map_err(|error| format!("{error}; or live, or never")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_word_or_a_time() {
        assert_eq!((until("live"), until("never")), (Ok(Until::Live), Ok(Until::Never)));
        assert_eq!(until("1970-01-01T00:00:20Z"), Ok(Until::Time(Timestamp::from_second(20).unwrap())));
        assert!(until("soon").unwrap_err().ends_with("or live, or never"));
    }
}
