//! Errors of this crate: the meaning of RabbitMQ's answers.

use lapin::ErrorKind as Amqp;
use messagekit::ErrorKind;

/// Returns the code with which the broker closed a channel; an error that ends the connection has none.
pub(crate) fn channel_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        Amqp::ProtocolError(said) if error.is_amqp_soft_error() => Some(said.get_id()),
        _ => None,
    }
}

/// Returns whether the broker closed the connection for a reason of its own.
pub(crate) fn is_forced(error: &lapin::Error) -> bool {
    matches!(error.kind(), Amqp::ProtocolError(said) if said.get_id() == CONNECTION_FORCED)
}

/// Returns the transient error for a request that the broker did not fulfil.
pub(crate) fn unavailable(text: impl Into<String>, error: lapin::Error) -> messagekit::Error {
    messagekit::Error::new(ErrorKind::Unavailable, text.into()).caused_by(error)
}

/// Code 320: the broker stops, or an operator closes the connection.
const CONNECTION_FORCED: u16 = 320;
/// Code 403: the user lacks the right.
pub(crate) const ACCESS_REFUSED: u16 = 403;
/// Code 404: not found.
pub(crate) const NOT_FOUND: u16 = 404;
/// Code 406: declared with other arguments, or too large.
pub(crate) const PRECONDITION_FAILED: u16 = 406;

/// Returns the error for a channel that the broker closed because of a message to an exchange.
pub(crate) fn refused(exchange: &str, code: u16, said: &messagekit::Error) -> messagekit::Error {
    let (kind, text) = match code {
        NOT_FOUND => (ErrorKind::NotFound, format!("exchange {exchange} is not there")),
        ACCESS_REFUSED => {
            let text = format!(
                "ACCESS_REFUSED: this user may not write to exchange {exchange:?}, or not with this routing key"
            );
            (ErrorKind::InvalidConfiguration, text)
        }
        PRECONDITION_FAILED => (ErrorKind::TooLarge, "rabbitmq takes no message of this size".to_owned()),
        _ => (ErrorKind::InvalidEvent, "rabbitmq refuses the message".to_owned()),
    };
    let error = messagekit::Error::new(kind, text);
    // What the broker says of a right to a topic has the routing key, which may be made of a payload.
    if code == ACCESS_REFUSED { error } else { error.caused_by(said.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_was_closed_over_a_message_refuses_it_for_good() {
        let said = messagekit::Error::new(ErrorKind::Unavailable, "rabbitmq ended the channel");
        for (code, kind, text) in [
            (404, ErrorKind::NotFound, "exchange orders is not there"),
            (403, ErrorKind::InvalidConfiguration, "may not write to exchange \"orders\""),
            (406, ErrorKind::TooLarge, "no message of this size"),
            (540, ErrorKind::InvalidEvent, "refuses the message"),
        ] {
            let error = refused("orders", code, &said);
            assert_eq!((error.kind(), error.is_transient()), (kind, false), "{code}");
            assert!(error.to_string().contains(text), "{error}");
            let said = messagekit::chain(&error).ends_with("rabbitmq ended the channel");
            assert_eq!(said, code != ACCESS_REFUSED, "{error}");
        }
    }
}
