//! Looks for a timeline in which a handler is not effectively once.

mod interrupt;
mod result;
mod timeline;
mod world;

use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use messagekit::handler::HandlerFn;
use messagekit::{Envelope, Event, Message, Router};
use messagekit_memory::{MemoryStore, MemoryTx};

use self::result::Effects;
use self::timeline::{Disturbance, Step, Timeline, timelines};
use self::world::World;
use crate::service::emitted::type_of;

/// Two runs are at least that far apart, so that a clock shows another time in milliseconds.
const APART: Duration = Duration::from_millis(2);

/// The result of a search that has found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The number of timelines that were played.
    pub timelines: usize,
}

/// The shortest timeline that was found in which handlers are not effectively once. It displays as a text of several lines: the steps, what
/// differs from an undisturbed run, and what to look for.
#[derive(Clone, Debug)]
pub struct Counterexample {
    steps: Vec<String>,
    differences: Vec<String>,
    hint: String,
    played: usize,
}

impl Counterexample {
    /// Returns the steps of the timeline, a line each.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// Returns what differs from the undisturbed run, a line each.
    pub fn differences(&self) -> &[String] {
        &self.differences
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "handlers are not effectively once, in timeline {} of those that were played:",
            self.played
        )?;
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {}. {step}", index + 1)?;
        }
        self.differences.iter().try_for_each(|difference| writeln!(f, "  {difference}"))?;
        write!(f, "{}", self.hint)
    }
}

impl StdError for Counterexample {}

/// Plays a small scenario in memory, in every timeline of a list, and compares what it leaves with an undisturbed run: the numbers and texts of the
/// store, and the emitted events without their ids and times.
///
/// For the first event, then the first two, and so on, the timelines are: the process ends before the handler, after each event that it added, after
/// the handler and after the commit; each event comes again, at once and late; the process ends between two events; the database refuses a
/// commit, loses its answer, refuses an event of the outbox; an event of another key is handled and committed between the
/// handler and the commit of an event; and events of different keys come in each other order.
///
/// `router` is called for each process, with the store that its handlers and their outbox use. [`assert_effectively_once!`](crate::assert_effectively_once) is
/// the short form. Two to five events are enough, of two keys at least, because the number of orders grows fast.
///
/// # Errors
/// The shortest [`Counterexample`]; also if an event is not handled in an undisturbed run, if that run leaves nothing that can be compared, or if
/// two undisturbed runs differ.
///
/// # Panics
/// Panics without events.
pub async fn effectively_once(
    router: impl Fn(MemoryStore) -> Router<MemoryStore>,
    events: &[Message],
) -> Result<Checked, Counterexample> {
    assert!(!events.is_empty(), "a scenario has an event at least");
    let mut played = 0;
    for length in 1..=events.len() {
        let events = &events[..length];
        let plain: Vec<Step> = (0..length).map(Step::Deliver).collect();
        let plain = Timeline { steps: plain, disturbance: Disturbance::Nothing };
        let found = |differences, timeline: &Timeline, played| Counterexample {
            steps: described(events, &timeline.steps),
            differences,
            hint: timeline.disturbance.to_string(),
            played,
        };
        let run = async |timeline: &Timeline| run(&router, events, timeline).await;
        played += 1;
        let (expected, writes) = run(&plain).await.map_err(|error| {
            let hint = "an undisturbed run has to apply every event: it tells what is expected".to_owned();
            Counterexample { hint, ..found(vec![error], &plain, played) }
        })?;
        if length == events.len() && expected.is_empty() {
            let hint = "nothing of it can be seen: handlers have to write through the transaction of the store, or to an outbox over it";
            return Err(Counterexample { hint: hint.to_owned(), ..found(Vec::new(), &plain, played) });
        }
        wait_for_the_clock();
        for timeline in std::iter::once(plain.clone()).chain(timelines(events, &writes)) {
            played += 1;
            let differences = match run(&timeline).await {
                Ok((effects, _)) => effects.differences(&expected),
                Err(error) => vec![error],
            };
            if !differences.is_empty() {
                return Err(found(differences, &timeline, played));
            }
        }
    }
    Ok(Checked { timelines: played })
}

/// Returns the router of one handler.
#[doc(hidden)]
pub fn router_of<E: Event, H>(handler: H) -> Router<MemoryStore>
where
    H: for<'a> HandlerFn<'a, MemoryTx, Envelope<E>, Future: Send>,
{
    Router::new().on(handler)
}

/// Plays a timeline in a new world. Returns its effects, and how often each step has written to the outbox.
async fn run<F: Fn(MemoryStore) -> Router<MemoryStore>>(
    router: &F,
    events: &[Message],
    timeline: &Timeline,
) -> Result<(Effects, Vec<usize>), String> {
    let mut world = World::new(router, events)?;
    let (mut before, mut writes) = (0, Vec::new());
    for step in &timeline.steps {
        world.play(*step).await?;
        let now = world.outbox_writes();
        writes.push(now.saturating_sub(before));
        before = now;
    }
    Ok((world.effects(), writes))
}

/// Spins, because a runtime with a paused clock would not wait.
fn wait_for_the_clock() {
    let since = SystemTime::now();
    while since.elapsed().is_ok_and(|elapsed| elapsed < APART) {
        std::hint::spin_loop();
    }
}

/// Returns a line for each step.
fn described(events: &[Message], steps: &[Step]) -> Vec<String> {
    let name = |event: &usize| {
        let message = &events[*event];
        let key = message.key.as_deref().map(String::from_utf8_lossy);
        let key = key.map_or_else(|| format!("number {}", event + 1), |key| key.into_owned());
        format!("`{}` {key}", type_of(message))
    };
    let mut seen = Vec::new();
    let mut lines = Vec::new();
    for step in steps {
        let line = match step {
            Step::Deliver(event) if seen.contains(event) => format!("{} comes again", name(event)),
            Step::Deliver(event) => format!("{} is handled", name(event)),
            Step::Crash(event, point) => {
                format!("{}: the process ends {}; a new one gets it again", name(event), point.when())
            }
            Step::Restart => "the process ends, and a new one begins".to_owned(),
            Step::Refused(event) => {
                format!("{}: the database refuses the commit, and its handler runs again", name(event))
            }
            Step::Lost(event) => {
                format!("{}: the answer of its commit is lost, and it comes again", name(event))
            }
            Step::Unwritten(event, number) => {
                format!(
                    "{}: the outbox refuses event {number} of its handler, and it comes again",
                    name(event)
                )
            }
            Step::Beside(first, second) => format!(
                "{}: its handler runs; {} is handled and committed; then {} is committed",
                name(first),
                name(second),
                name(first)
            ),
        };
        if let Step::Deliver(event)
        | Step::Crash(event, _)
        | Step::Refused(event)
        | Step::Lost(event)
        | Step::Unwritten(event, _) = step
        {
            seen.push(*event);
        }
        lines.push(line);
    }
    lines
}

/// Asserts that handlers are effectively once: it plays a small scenario in memory through crashes, duplicates, rival transactions and other orders, and
/// panics with the shortest timeline that ends in another result than an undisturbed run. See
/// [`effectively_once`](crate::service::effectively_once()) for the timelines, and for a scenario with events of several types.
///
/// The first argument is a handler, or `|store| router` for handlers with a state or an outbox: it is evaluated for each process. It is for
/// async tests.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use messagekit::{Envelope, Event, HandlerError, Outbox, Router};
/// use messagekit_memory::{MemoryStore, MemoryTx};
/// use messagekit_testkit::assert_effectively_once;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "orders.order.placed", key = "order_id")]
/// struct OrderPlaced { order_id: String, pence: i64 }
///
/// async fn bill(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
///     tx.add("billed", order.data.pence);
///     Ok(())
/// }
///
/// let order = |id: &str, pence| OrderPlaced { order_id: id.into(), pence };
/// assert_effectively_once!(bill, [order("o-1", 995), order("o-2", 5)]);
///
/// async fn thank(outbox: &Outbox<MemoryStore>, tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
///     outbox.add(tx, OrderPlaced { order_id: format!("gift-{}", order.data.order_id), pence: 0 }).await?;
///     Ok(())
/// }
///
/// assert_effectively_once!(
///     |store| Router::new().on_with(Arc::new(Outbox::new(store, "gifts").expect("a name")), thank),
///     [order("o-1", 995), order("o-2", 5)]
/// );
/// # });
/// ```
#[macro_export]
macro_rules! assert_effectively_once {
    (|$store:ident| $router:expr, $events:expr $(,)?) => {{
        let events: ::std::vec::Vec<_> = ::std::iter::IntoIterator::into_iter($events)
            .map(|event| $crate::service::message(event))
            .collect();
        match $crate::service::effectively_once(|$store| $router, &events).await {
            ::std::result::Result::Ok(checked) => checked,
            ::std::result::Result::Err(counterexample) => ::std::panic!("{counterexample}"),
        }
    }};
    ($handler:expr, $events:expr $(,)?) => {
        $crate::assert_effectively_once!(|_store| $crate::service::router_of($handler), $events)
    };
}
