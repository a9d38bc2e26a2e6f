//! Converts headers to columns and back without loss.

use messagekit::adapter::{EventLinks, headers_from_json, headers_to_json};
use messagekit::{Error, Headers, headers};

/// The headers that have a column, in the order in which every writer of ours sets them.
const NAMES: [&str; 4] = [headers::ID, headers::EVENT_TYPE, headers::CONTENT_TYPE, headers::TRACEPARENT];

/// The values in the columns of a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Columns<T> {
    /// In the order of [`NAMES`].
    pub(crate) known: [Option<T>; NAMES.len()],
    /// The others, as JSON.
    pub(crate) rest: Option<String>,
}

impl<'a> Columns<&'a str> {
    /// Splits headers into columns.
    ///
    /// A header with a column moves there when it is text and at the position where reading will put it. Otherwise it
    /// stays among the others. The column is then written too, for look-ups only, and reading ignores it.
    pub(crate) fn of(headers: &'a Headers) -> Result<Self, Error> {
        let mut columns = Self::default();
        let mut rest = Headers::new();
        let mut next_column = 0;
        // The links of an event have a table of their own.
        for (name, value) in headers.iter().filter(|(name, _)| !EventLinks::is_header(name)) {
            let column = NAMES.iter().position(|known| *known == name);
            let text = std::str::from_utf8(value).ok();
            if let (Some(column), Some(text)) = (column, text) {
                columns.known[column] = Some(text);
                if rest.is_empty() && column >= next_column {
                    next_column = column + 1;
                    continue;
                }
            }
            rest.set(name, value.clone());
        }
        if !rest.is_empty() {
            columns.rest = Some(headers_to_json(&rest)?);
        }
        Ok(columns)
    }
}

impl Columns<String> {
    /// Joins the headers again.
    pub(crate) fn into_headers(self) -> Result<Headers, Error> {
        let rest = self.rest.as_deref().map(headers_from_json).transpose()?;
        let mut headers = Headers::new();
        for (name, value) in NAMES.into_iter().zip(self.known) {
            if let Some(value) = value
                && rest.as_ref().is_none_or(|rest| rest.get(name).is_none())
            {
                headers.set(name, value);
            }
        }
        for (name, value) in rest.iter().flat_map(Headers::iter) {
            headers.set(name, value.clone());
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_our_own_writers_fit_into_columns() {
        let mut headers = Headers::new();
        headers.set(headers::ID, "m-1");
        headers.set(headers::CONTENT_TYPE, headers::JSON);
        let columns = Columns::of(&headers).unwrap();
        assert_eq!(columns.known, [Some("m-1"), None, Some(headers::JSON), None]);
        assert_eq!(columns.rest, None);
    }

    #[test]
    fn an_id_among_strangers_can_still_be_looked_up() {
        let mut headers = Headers::new();
        headers.set("tenant", "north");
        headers.set(headers::ID, "m-1");
        let columns = Columns::of(&headers).unwrap();
        assert_eq!(columns.known[0], Some("m-1"));
        let known = columns.known.map(|value| value.map(str::to_owned));
        assert_eq!(Columns { known, rest: columns.rest }.into_headers().unwrap(), headers);
    }
}
