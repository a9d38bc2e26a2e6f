//! How a service encodes its events, in an outbox and without one.

use std::sync::Arc;

use tracing::Span;

use super::create_span::create_span;
use crate::data_check::DataCheck;
use crate::message::{Envelope, WireForm, codec};
use crate::names::{check_name, check_topic};
use crate::{Error, Event, Message};

/// The name of a service, and the form of its events.
#[derive(Clone, Debug)]
pub(crate) struct EventEncoder {
    source: Arc<str>,
    pub(crate) topic_prefix: Arc<str>,
    pub(crate) wire_form: WireForm,
    pub(crate) validation: Option<Arc<dyn DataCheck>>,
}

impl EventEncoder {
    /// Creates the encoder of a service. `source` has 1 to 200 characters of `a-z A-Z 0-9 . _ -`.
    pub(crate) fn new(source: impl Into<Arc<str>>) -> Result<Self, Error> {
        let source = source.into();
        check_name("source", &source, 200)?;
        Ok(Self { source, topic_prefix: Arc::default(), wire_form: WireForm::Messagekit, validation: None })
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Encodes an event in its trace, or else in that of the current span: then it has a span of its own, which ends as it is dropped.
    pub(crate) fn encode<E: Event>(&self, envelope: &Envelope<E>) -> Result<(Message, Option<Span>), Error> {
        let created = match envelope.trace {
            Some(_) => None,
            None => create_span(&envelope.meta.event_id, E::TYPE, E::TOPIC),
        };
        let trace = envelope.trace.as_ref().or(created.as_ref().map(|(_, context)| context));
        let mut message = codec::encode_in(envelope, &self.source, trace, self.wire_form)?;
        if let Some(validation) = &self.validation {
            let data = codec::data_of(&message)?;
            validation.check_written(&envelope.event_type, codec::data_version(envelope), &data)?;
        }
        if !self.topic_prefix.is_empty() {
            let topic = format!("{}{}", self.topic_prefix, message.topic);
            check_topic(&topic)?;
            message.topic = topic.into();
        }
        Ok((message, created.map(|(span, _)| span)))
    }
}
