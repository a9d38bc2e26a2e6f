//! Types of settings.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use jiff::SignedDuration;

use super::Value;

/// Converts a configuration value to the type of a setting.
///
/// ```
/// use messagekit_config::{Setting, Value};
///
/// enum Answer { Ack, Reject }
///
/// impl Setting for Answer {
///     fn read(value: &Value) -> Result<Self, String> {
///         match value.text()? {
///             "ack" => Ok(Self::Ack),
///             "reject" => Ok(Self::Reject),
///             _ => Err(value.instead_of("ack or reject")),
///         }
///     }
/// }
/// ```
pub trait Setting: Sized {
    /// Reads a value.
    ///
    /// # Errors
    /// Human-readable description of what was expected and found; see [`Value::instead_of`].
    fn read(value: &Value) -> Result<Self, String>;
}

impl Setting for String {
    fn read(value: &Value) -> Result<Self, String> {
        value.text().map(str::to_owned)
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Result<Self, String> {
        value.truth().ok_or_else(|| value.instead_of("true or false"))
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            fn read(value: &Value) -> Result<Self, String> {
                value.integer().and_then(|number| number.try_into().ok()).ok_or_else(|| {
                    value.instead_of(&format!("a whole number from {} to {}", <$number>::MIN, <$number>::MAX))
                })
            }
        }
    )*};
}
whole_numbers!(u8, u16, u32, u64, usize, i32, i64);

macro_rules! counts {
    ($($count:ty, $number:ty);*) => {$(
        impl Setting for $count {
            fn read(value: &Value) -> Result<Self, String> {
                let number: Option<$number> = value.integer().and_then(|number| number.try_into().ok());
                number.and_then(Self::new).ok_or_else(|| {
                    value.instead_of(&format!("a whole number from 1 to {}", <$number>::MAX))
                })
            }
        }
    )*};
}
counts!(NonZeroU16, u16; NonZeroU32, u32; NonZeroU64, u64; NonZeroUsize, usize);

impl Setting for f64 {
    fn read(value: &Value) -> Result<Self, String> {
        let number = value.number().filter(|number| number.is_finite());
        number.ok_or_else(|| value.instead_of("a number"))
    }
}

/// Accepts `30s`, `5m`, `1h 30m` or `PT5M`.
impl Setting for Duration {
    fn read(value: &Value) -> Result<Self, String> {
        let wrong = || value.instead_of("a time such as \"30s\" or \"5m\"");
        let span: SignedDuration = value.text().map_err(|_| wrong())?.trim().parse().map_err(|_| wrong())?;
        Duration::try_from(span).map_err(|_| wrong())
    }
}

impl Setting for SocketAddr {
    fn read(value: &Value) -> Result<Self, String> {
        value.text()?.trim().parse().map_err(|_| value.instead_of("an address such as \"127.0.0.1:8080\""))
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value) -> Result<Self, String> {
        let entries =
            value.list().ok_or_else(|| format!("{}: write it as [ … ]", value.instead_of("a list")))?;
        entries.iter().map(T::read).collect()
    }
}

/// Accepts a table of free keys, such as driver settings. Texts, numbers and truth values become texts.
impl Setting for BTreeMap<String, String> {
    fn read(value: &Value) -> Result<Self, String> {
        let table = value.table().ok_or_else(|| value.instead_of("a table"))?;
        let entry = |(key, value): (&String, &Value)| {
            let text = match (value.text(), value.integer(), value.number(), value.truth()) {
                (Ok(text), ..) => text.to_owned(),
                (_, Some(number), ..) => number.to_string(),
                (_, _, Some(number), _) => number.to_string(),
                (.., Some(truth)) => truth.to_string(),
                _ => return Err(format!("{key}: {}", value.instead_of("a text"))),
            };
            Ok((key.clone(), text))
        };
        table.iter().map(entry).collect()
    }
}
