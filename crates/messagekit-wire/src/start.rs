//! Words of a request for records.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// Where to read, or where a group begins that has not read the topic: `"Latest"`, `"Earliest"` or `{"Offset": 7}`.
///
/// Words are read in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Start {
    /// Behind the last record.
    Latest,
    /// At the first record that is kept.
    Earliest,
    /// At this offset, from 0 on.
    Offset(i64),
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let word = |name: &str| value.as_str().is_some_and(|word| word.eq_ignore_ascii_case(name));
        let offset = value.as_object().filter(|fields| fields.len() == 1).and_then(|fields| {
            let (name, value) = fields.iter().next()?;
            name.eq_ignore_ascii_case("offset").then(|| value.as_i64())?.filter(|offset| *offset >= 0)
        });
        match (word("latest"), word("earliest"), offset) {
            (true, ..) => Ok(Self::Latest),
            (_, true, _) => Ok(Self::Earliest),
            (.., Some(offset)) => Ok(Self::Offset(offset)),
            _ => {
                Err(serde::de::Error::custom("start is none of \"Latest\", \"Earliest\" and {\"Offset\": n}"))
            }
        }
    }
}

/// Where a group goes on whose next records were deleted before it settled them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnDeleted {
    /// At the first record that is kept.
    #[default]
    Earliest,
    /// Behind the last record.
    Latest,
    /// Nowhere: each request is refused until an administrator moves the group.
    Fail,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_writes_is_what_a_server_reads() {
        for start in [Start::Latest, Start::Earliest, Start::Offset(0), Start::Offset(i64::MAX)] {
            let text = serde_json::to_string(&start).unwrap();
            assert_eq!(serde_json::from_str::<Start>(&text).unwrap(), start, "{text}");
        }
        for wrong in ["\"First\"", "7", "{\"Offset\": -1}", "{\"Offset\": 1, \"offset\": 2}", "[\"Latest\"]"]
        {
            assert!(serde_json::from_str::<Start>(wrong).is_err(), "{wrong}");
        }
    }
}
