//! The rules for names in RabbitMQ.

use messagekit::{Error, ErrorKind};

/// The most bytes of a name or routing key.
const MAX_BYTES: usize = 255;

/// Checks the name of a queue: 1 to 255 bytes of UTF-8 without control characters, because the broker drops some of
/// those.
///
/// ```
/// use messagekit_rabbitmq::check_queue;
///
/// assert!(check_queue("shipping orders #1").is_ok());
/// assert!(check_queue("").is_err());
/// ```
///
/// # Errors
/// Permanent, [`ErrorKind::InvalidConfiguration`], with the name and the rule.
pub fn check_queue(name: &str) -> Result<(), crate::Error> {
    check_name(name)
}

/// Checks the name of a queue or exchange: 1 to 255 bytes without control characters, because the broker drops some
/// of those.
///
/// # Errors
/// Permanent, [`ErrorKind::InvalidConfiguration`].
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if (1..=MAX_BYTES).contains(&name.len()) && !name.contains(char::is_control) {
        return Ok(());
    }
    let text = format!(
        "name {:?} of a queue or exchange is not 1 to {MAX_BYTES} bytes without control characters",
        begin(name)
    );
    Err(Error::new(ErrorKind::InvalidConfiguration, text))
}

/// Checks a routing key: any text of at most 255 bytes, including the empty one.
///
/// # Errors
/// Permanent, [`ErrorKind::InvalidEvent`].
pub(crate) fn check_routing_key(routing_key: &str) -> Result<(), Error> {
    if routing_key.len() <= MAX_BYTES {
        return Ok(());
    }
    // Not the key itself: a template may have made it of a payload.
    let text = format!("routing key of {} bytes is over the limit of {MAX_BYTES}", routing_key.len());
    Err(Error::new(ErrorKind::InvalidEvent, text))
}

/// Truncates a hostile name for an error text.
fn begin(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routing_keys_take_any_short_text_and_names_no_control_chars() {
        let fits = "ü".repeat(127);
        for text in ["orders.placed", "a b", "bestellungen.größe", "#", "*.x", "amq.topic", &fits] {
            assert!(check_routing_key(text).is_ok() && check_name(text).is_ok(), "{text}");
        }
        let long = "ü".repeat(128);
        for text in ["", "a\nb", "a\0"] {
            assert!(check_routing_key(text).is_ok() && check_name(text).is_err(), "{text:?}");
        }
        for error in [check_routing_key(&long).unwrap_err(), check_name(&long).unwrap_err()] {
            assert!(!error.is_transient() && error.to_string().len() < 300, "{error}");
        }
        let error = check_routing_key(&long).unwrap_err().to_string();
        assert!(!error.contains('ü') && error.contains("256 bytes"), "a template may have made it: {error}");
    }
}
