//! Reading query parameters.

use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Timestamp;

use crate::problem::Problem;

/// The most characters of a text to search for.
pub(crate) const MAX_TEXT: usize = 200;

/// The parameters of an operation.
pub(crate) trait FromParameters: Sized {
    /// Takes every known parameter; a remaining one is an error.
    fn take(parameters: &mut Parameters) -> Result<Self, Problem>;
}

impl<A: FromParameters, B: FromParameters> FromParameters for (A, B) {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok((A::take(parameters)?, B::take(parameters)?))
    }
}

/// No parameters.
#[derive(Debug)]
pub(crate) struct Nothing;

impl FromParameters for Nothing {
    fn take(_: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// Extracts the parameters of an operation, and rejects all others.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: FromParameters> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::read(parts.uri.query().unwrap_or_default())?;
        let taken = T::take(&mut parameters)?;
        parameters.finish()?;
        Ok(Self(taken))
    }
}

/// The parameters that are not taken yet.
#[derive(Debug)]
pub(crate) struct Parameters {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    known: Vec<&'static str>,
}

impl Parameters {
    pub(crate) fn read(query: &str) -> Result<Self, Problem> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        });
        let pairs: Option<Vec<_>> = pairs.collect();
        let pairs =
            pairs.ok_or_else(|| Problem::malformed("the query has a % without two hexadecimal digits"))?;
        Ok(Self { pairs, known: Vec::new() })
    }

    fn finish(self) -> Result<(), Problem> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        let known = match self.known.is_empty() {
            true => "takes no parameters".to_owned(),
            false => format!("takes {}", self.known.join(", ")),
        };
        Err(Problem::malformed(format!("a parameter is not known: this operation {known}")))
    }

    /// Takes a value as raw bytes.
    pub(crate) fn bytes(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, Problem> {
        self.known.push(name);
        let Some(index) = self.pairs.iter().position(|(known, _)| known == name.as_bytes()) else {
            return Ok(None);
        };
        let (_, value) = self.pairs.swap_remove(index);
        if self.pairs.iter().any(|(known, _)| known == name.as_bytes()) {
            return Err(Problem::malformed(format!("parameter {name} stands twice")));
        }
        Ok(Some(value))
    }

    /// Takes a text to search for.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        let text = String::from_utf8(bytes)
            .map_err(|_| Problem::malformed(format!("parameter {name} is not UTF-8")))?;
        searchable(name, text).map(Some)
    }

    /// Takes an integer in a range.
    pub(crate) fn number<T>(
        &mut self,
        name: &'static str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, Problem>
    where
        T: std::str::FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).ok();
        let number = text.filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok());
        match number {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let (least, most) = (range.start(), range.end());
                let text = format!("parameter {name} is not a whole number from {least} to {most}");
                Err(Problem::malformed(text))
            }
        }
    }

    /// Takes a time.
    pub(crate) fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let time = text.parse().ok().and_then(usable_time);
        time.map(Some).ok_or_else(|| Problem::refused(format!("parameter {name} {NO_TIME}")))
    }

    /// Takes one of several words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Result<Option<T>, Problem> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        if let Some((_, value)) = words.iter().find(|(word, _)| word.as_bytes() == bytes) {
            return Ok(Some(*value));
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(Problem::malformed(format!("parameter {name} is none of {}", known.join(", "))))
    }
}

pub(crate) const NO_TIME: &str =
    "is not a time such as 2026-01-31T08:00:00Z, between the years 1 and 9999 (write + as %2B in a query)";

/// Returns the time if every database can compare with it.
pub(crate) fn usable_time(time: Timestamp) -> Option<Timestamp> {
    // The first second of the year 1.
    (time.as_second() >= -62_135_596_800).then_some(time)
}

/// Rejects text that no database can store.
pub(crate) fn searchable(name: &str, text: String) -> Result<String, Problem> {
    if text.chars().any(char::is_control) {
        return Err(Problem::refused(format!("{name} holds a control character")));
    }
    if text.chars().count() > MAX_TEXT {
        return Err(Problem::refused(format!("{name} is longer than {MAX_TEXT} characters")));
    }
    Ok(text)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let value = digit()? * 16 + digit()?;
                u8::try_from(value).ok()?
            }
            byte => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Parameters {
        Parameters::read(query).unwrap()
    }

    #[test]
    fn values_are_decoded_as_bytes() {
        let mut parameters = read("key=%FF%00+a%2b&kind=failed&");
        assert_eq!(parameters.bytes("key").unwrap().unwrap(), b"\xff\0 a+");
        assert_eq!(parameters.text("kind").unwrap().as_deref(), Some("failed"));
        assert_eq!(parameters.text("absent").unwrap(), None);
        parameters.finish().unwrap();
    }

    #[test]
    fn strange_values_are_refused_and_not_repeated() {
        for query in ["a=%", "a=%4", "a=%zz", "%=1", "a=%+1"] {
            assert!(Parameters::read(query).is_err(), "{query}");
        }
        for query in ["t=%00", "t=%FF", "t=%C2%85", "t=a&t=b", &format!("t={}", "x".repeat(201))] {
            let problem = read(query).text("t").unwrap_err();
            assert!(!format!("{problem:?}").contains("xxx"), "{query}");
        }
        for query in ["n=-1", "n=0", "n=201", "n=+5", "n=1e2", "n=", "n=%FF", "n=100000000000000000000"] {
            assert!(read(query).number("n", 1..=200_u32).is_err(), "{query}");
        }
        for query in ["w=", "w=Dead", "w=deadx", "w=%00"] {
            assert!(read(query).word("w", &[("dead", ())]).is_err(), "{query}");
        }
    }

    #[test]
    fn times_are_those_that_databases_know() {
        for text in ["2026-01-31T08:00:00Z", "0001-01-01T00:00:00Z", "2026-01-31T08:00:00%2B02:00"] {
            assert!(read(&format!("t={text}")).time("t").unwrap().is_some(), "{text}");
        }
        for text in
            ["", "yesterday", "0000-12-31T23:59:59Z", "-009999-01-02T00:00:00Z", "99999-01-01T00:00:00Z", "1"]
        {
            assert!(read(&format!("t={text}")).time("t").is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_parameter_is_refused_with_the_known_ones() {
        let mut parameters = read("consumr=billing");
        assert_eq!(parameters.text("consumer").unwrap(), None);
        let problem = format!("{:?}", parameters.finish().unwrap_err());
        assert!(problem.contains("takes consumer") && !problem.contains("consumr="), "{problem}");
    }
}
