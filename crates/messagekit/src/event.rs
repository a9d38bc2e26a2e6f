//! Events, and how they get into envelopes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use crate::Error;
use crate::message::{DataVersion, Envelope, MessageId, Meta};

/// Represents a domain fact that is sent as one JSON object.
///
/// Derive it: `#[derive(Event)]` checks names at compile time and derives the topic.
///
/// ```
/// use messagekit::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced {
///     order_id: String,
///     total_pence: i64,
/// }
///
/// assert_eq!(OrderPlaced::TOPIC, "orders.order");
/// let placed = OrderPlaced { order_id: "o-1".into(), total_pence: 995 };
/// assert_eq!(placed.key().as_deref(), Some("o-1"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "derive it: `#[derive(Event, Serialize, Deserialize)] #[event(type = \"area.noun.verb\", key = \"field\")]`"
)]
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The type on the wire, in the form that [`check_type`](crate::adapter::check_type) accepts.
    const TYPE: &'static str;
    /// The topic it is published to. All events of one aggregate share a topic, which keeps their order.
    const TOPIC: &'static str;
    /// `MAJOR.MINOR` of the data. A consumer reads its own major version, and earlier ones that are
    /// [upcast](Self::read_earlier).
    const VERSION: &'static str = "1.0";
    /// The source of the event; the name of the outbox when absent.
    const SOURCE: Option<&'static str> = None;

    /// The earlier major version that this one is made from, with those before it; none if data of earlier major
    /// versions is refused.
    const EARLIER: Option<&'static EarlierVersion> = None;

    /// Reads data of an earlier major version. Derived from `upcast_from`, which needs a conversion:
    /// `impl From<OrderPlacedV1> for OrderPlaced`, or `TryFrom`, a pure function of the old data: it may run several times for
    /// one message.
    ///
    /// # Errors
    /// [`Undecodable`](crate::ErrorKind::Undecodable) if it is not one of [`EARLIER`](Self::EARLIER), if the data does not fit its struct, or if
    /// the conversion refuses it.
    fn read_earlier(data: EarlierData<'_>) -> Result<Self, Error> {
        Err(data.unread::<Self>())
    }

    /// Returns the key whose events keep their order, or `None` if order does not matter.
    fn key(&self) -> Option<Cow<'_, str>>;

    /// Wraps the event as a consequence of `cause`. The causation id is the id of `cause`. The correlation id is that
    /// of `cause`, or its id if it starts the chain.
    fn follow<C>(self, cause: &Envelope<C>) -> Envelope<Self>
    where
        Self: Sized,
    {
        let mut envelope = Envelope::new(self);
        envelope.correlation_id = cause.correlation_id.clone().or_else(|| Some(cause.event_id.clone()));
        envelope.causation_id = Some(cause.event_id.clone());
        envelope
    }
}

impl<E: Event> Envelope<E> {
    /// Wraps an event that occurs now, with a new id.
    pub fn new(data: E) -> Self {
        let meta = Meta {
            event_id: MessageId::new(),
            event_type: E::TYPE.to_owned(),
            aggregate_id: data.key().map(|key| key.into_owned()),
            occurred_at: Timestamp::now(),
            source: E::SOURCE.unwrap_or_default().to_owned(),
            data_version: E::VERSION.to_owned(),
            correlation_id: None,
            causation_id: None,
            metadata: BTreeMap::new(),
        };
        Self { meta, data, headers: BTreeMap::new(), trace: None, delivery: None }
    }
}

impl<E: Event> From<E> for Envelope<E> {
    fn from(event: E) -> Self {
        Self::new(event)
    }
}

/// An earlier major version that an event is read from, and those before it: [`Event::EARLIER`].
#[derive(Debug)]
pub struct EarlierVersion {
    pub(crate) version: DataVersion,
    pub(crate) before: Option<&'static EarlierVersion>,
}

impl EarlierVersion {
    /// Returns the version of `Earlier`, and those that it is read from itself.
    ///
    /// # Panics
    /// Panics, when the program is compiled, if the two are not of one type and one topic, or if the major version of
    /// `Earlier` is not lower.
    pub const fn of<E: Event, Earlier: Event>() -> Self {
        assert!(is_same(E::TYPE, Earlier::TYPE), "`upcast_from` names an event of another type");
        assert!(is_same(E::TOPIC, Earlier::TOPIC), "`upcast_from` names an event of another topic");
        assert!(
            version_of::<Earlier>().major < version_of::<E>().major,
            "`upcast_from` names an event whose major version is not lower: raise `version`"
        );
        Self { version: version_of::<Earlier>(), before: Earlier::EARLIER }
    }

    /// Returns this version and those before it, newest first.
    pub fn versions(&'static self) -> impl Iterator<Item = DataVersion> {
        std::iter::successors(Some(self), |version| version.before).map(|version| version.version)
    }
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// Data of an earlier major version, for [`Event::read_earlier`].
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "it holds a payload")]
pub struct EarlierData<'a> {
    pub(crate) version: DataVersion,
    pub(crate) data: &'a [u8],
}

/// Returns the version of an event.
///
/// # Panics
/// Panics if [`Event::VERSION`] is not `MAJOR.MINOR`, which the derive refuses.
pub const fn version_of<E: Event>() -> DataVersion {
    DataVersion::read(E::VERSION).expect("Event::VERSION is MAJOR.MINOR")
}
