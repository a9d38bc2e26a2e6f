//! Names that clients send. What no topic and no group can have never reaches a database, and is not repeated.

use messagekit::adapter::check_topic;
use messagekit::{Error, ErrorKind};

/// The most characters of the name of a group: as many as the failed messages of a consumer can be asked for.
const MAX_GROUP: usize = 200;

/// Checks the name of a topic that should be there.
///
/// # Errors
/// [`ErrorKind::NotFound`] for a name that no topic can have.
pub(super) fn topic(name: &str) -> Result<(), Error> {
    check_topic(name).map_err(|_| {
        let text =
            "there is no such topic: a name has 1 to 249 characters of a-z A-Z 0-9 . _ -, like shop.orders";
        Error::new(ErrorKind::NotFound, text)
    })
}

/// Checks the names of a topic and of a group.
///
/// # Errors
/// As [`topic`]. [`ErrorKind::InvalidConfiguration`] for a group whose name is blank, too long, or has control characters.
pub(super) fn group(topic: &str, group: &str) -> Result<(), Error> {
    self::topic(topic)?;
    let is_usable = !group.trim().is_empty()
        && group.chars().count() <= MAX_GROUP
        && !group.chars().any(char::is_control);
    if is_usable {
        return Ok(());
    }
    let text = format!(
        "name of the group is not usable: it has 1 to {MAX_GROUP} characters, no control character, and is not blank"
    );
    Err(Error::new(ErrorKind::InvalidConfiguration, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_database_takes_are_refused_without_them() {
        for name in ["", "..", "a b", "zzq\0", "zzq'", &"z".repeat(250)] {
            let refused = topic(name).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::NotFound);
            assert!(!refused.to_string().contains("zz"), "{refused}");
        }
        for name in ["", " \t", "zzq\0", "zzq\n", &"z".repeat(201)] {
            let refused = group("shop.orders", name).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
            assert!(!refused.to_string().contains("zz"), "{refused}");
        }
        for name in ["g", "a:b", " é ", &"é".repeat(200)] {
            group("shop.orders", name).unwrap();
        }
    }
}
