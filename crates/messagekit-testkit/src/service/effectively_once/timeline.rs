//! The timelines that are played: what happens to the events of a scenario, and in which order. Pure.

use std::fmt;

use messagekit::Message;

/// More orders than this are not all played: then each has two neighbours swapped.
const MOST_ORDERS: usize = 24;

/// Where a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CrashPoint {
    /// The message is claimed, and its handler has not started.
    Claimed,
    /// The handler has written to the outbox so often.
    Written(usize),
    /// The handler has returned, and its transaction is not committed.
    Handled,
    /// The transaction is committed, and the message is not settled.
    Committed,
}

/// A step of a timeline; events are named by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The event is delivered, and handled.
    Deliver(usize),
    /// The process ends at a point, and a new one gets the event again.
    Crash(usize, CrashPoint),
    /// The process ends between two events.
    Restart,
    /// The database refuses the commit, and the same process runs the handler again.
    Refused(usize),
    /// The commit is kept and its answer is lost: the event is delivered again.
    Lost(usize),
    /// The outbox refuses the write of this number, and the event is delivered again if the handler fails.
    Unwritten(usize, usize),
    /// The handler of the first event runs, then the second event is handled, and then the first one is committed.
    Beside(usize, usize),
}

/// What makes a timeline different from the undisturbed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// None: two undisturbed runs.
    Nothing,
    Order,
    Duplicate,
    Rollback,
    Restart,
    Refusal,
    Rival,
}

/// A timeline.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    pub(super) steps: Vec<Step>,
    pub(super) disturbance: Disturbance,
}

impl Timeline {
    /// Returns how long it is for a reader: a step that disturbs an event says as much as two.
    fn length(&self) -> usize {
        let of = |step: &Step| match step {
            Step::Deliver(_) | Step::Restart => 1,
            Step::Crash(..) | Step::Refused(_) | Step::Lost(_) | Step::Unwritten(..) => 2,
            Step::Beside(..) => 3,
        };
        self.steps.iter().map(of).sum()
    }
}

/// Returns the timelines over the first events of a scenario, the shortest first. `writes` says how many events each of them makes its
/// handler write.
pub(super) fn timelines(events: &[Message], writes: &[usize]) -> Vec<Timeline> {
    let mut all = Vec::new();
    for (number, order) in orders(events).into_iter().enumerate() {
        if number > 0 {
            all.push(Timeline { steps: deliveries(&order), disturbance: Disturbance::Order });
        }
        for at in 0..order.len() {
            all.extend(disturbed(&order, at, writes[order[at]]));
        }
        if number == 0 {
            all.extend(rivals(events, &order));
        }
    }
    all.sort_by_key(Timeline::length);
    all
}

fn deliveries(order: &[usize]) -> Vec<Step> {
    order.iter().map(|event| Step::Deliver(*event)).collect()
}

/// Returns the timelines of an order in which something happens to one event.
fn disturbed(order: &[usize], at: usize, writes: usize) -> Vec<Timeline> {
    let event = order[at];
    let with = |disturbance, steps: &[Step]| {
        let mut all = deliveries(order);
        all.splice(at..=at, steps.iter().copied());
        Timeline { steps: all, disturbance }
    };
    let again = Step::Deliver(event);
    let points = [CrashPoint::Claimed, CrashPoint::Handled, CrashPoint::Committed].into_iter();
    let points = points.chain((1..=writes).map(CrashPoint::Written));
    let crashes = points.map(|point| with(Disturbance::Rollback, &[Step::Crash(event, point)]));
    let mut all: Vec<Timeline> = crashes.collect();
    all.extend([
        with(Disturbance::Duplicate, &[again, again]),
        with(Disturbance::Restart, &[again, Step::Restart]),
        with(Disturbance::Rollback, &[Step::Refused(event)]),
        with(Disturbance::Duplicate, &[Step::Lost(event)]),
    ]);
    all.extend((1..=writes).map(|write| with(Disturbance::Refusal, &[Step::Unwritten(event, write)])));
    let mut late = with(Disturbance::Duplicate, &[again]);
    late.steps.push(again);
    all.push(late);
    all
}

/// Returns the timelines in which an event of another key is handled beside an event.
fn rivals(events: &[Message], order: &[usize]) -> Vec<Timeline> {
    let mut all = Vec::new();
    for (at, first) in order.iter().enumerate() {
        for second in &order[at + 1..] {
            let is_free = |between: &usize| is_free(&events[*between], &events[*second]);
            if order[at..].iter().take_while(|event| *event != second).all(is_free) {
                for (one, other) in [(first, second), (second, first)] {
                    let mut steps = deliveries(&order[..at]);
                    steps.push(Step::Beside(*one, *other));
                    steps.extend(
                        deliveries(&order[at + 1..])
                            .into_iter()
                            .filter(|step| *step != Step::Deliver(*second)),
                    );
                    all.push(Timeline { steps, disturbance: Disturbance::Rival });
                }
            }
        }
    }
    all
}

/// Returns whether nothing orders two events: they have different keys, or one has none.
fn is_free(one: &Message, other: &Message) -> bool {
    one.key.is_none() || other.key.is_none() || one.key != other.key || one.topic != other.topic
}

/// Returns the orders that keep the order of each key, the given one first.
fn orders(events: &[Message]) -> Vec<Vec<usize>> {
    let given: Vec<usize> = (0..events.len()).collect();
    let mut all = Vec::new();
    extend(events, &mut Vec::new(), &mut all);
    if all.len() <= MOST_ORDERS {
        return all;
    }
    let swaps = (1..given.len()).filter(|at| is_free(&events[at - 1], &events[*at]));
    let swapped = swaps.map(|at| {
        let mut order = given.clone();
        order.swap(at - 1, at);
        order
    });
    std::iter::once(given.clone()).chain(swapped).collect()
}

/// Adds every continuation of an order, in lexical order, until there are more than are played.
fn extend(events: &[Message], begun: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
    if begun.len() == events.len() {
        all.push(begun.clone());
    }
    for next in (0..events.len()).filter(|next| !begun.contains(next)).collect::<Vec<_>>() {
        let mut before = (0..next).filter(|earlier| !begun.contains(earlier));
        if all.len() <= MOST_ORDERS && before.all(|earlier| is_free(&events[earlier], &events[next])) {
            begun.push(next);
            extend(events, begun, all);
            begun.pop();
        }
    }
}

impl CrashPoint {
    /// Says when it is, behind "the process ended".
    pub(super) fn when(self) -> String {
        match self {
            Self::Claimed => "before its handler (consumer.claimed)".to_owned(),
            Self::Written(number) => {
                format!("in its handler, after event {number} was added (outbox.written)")
            }
            Self::Handled => "after its handler and before the commit (consumer.handled)".to_owned(),
            Self::Committed => "after the commit and before it was settled (consumer.committed)".to_owned(),
        }
    }
}

/// Says what to look for.
impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => {
                "two undisturbed runs differ: take ids and times from the event, not from a clock or a random number, and keep no state in a static"
            }
            Self::Order => {
                "the result depends on the order of events with different keys, which no log keeps: give them one key, or make their effects commute"
            }
            Self::Duplicate => "a message that comes again has an effect: write everything through the `tx` of the handler",
            Self::Rollback => {
                "something outlived the rollback of its transaction: write effects and events through the `tx` of the handler, and keep no state in its process"
            }
            Self::Restart => "the result depends on what a process remembers: keep state in the database",
            Self::Refusal => "an error was swallowed: return it with `?`, so that the transaction is rolled back and the event runs again",
            Self::Rival => {
                "an update was lost: two transactions read a value before one of them wrote it. Change it in one statement, or lock it when it is read"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(keys: &[&str]) -> Vec<Message> {
        keys.iter().map(|key| Message::new("orders.order", "{}").with_key(key.to_string())).collect()
    }

    #[test]
    fn orders_keep_the_order_of_each_key() {
        assert_eq!(orders(&events(&["a", "b"])), [[0, 1], [1, 0]]);
        assert_eq!(orders(&events(&["a", "b", "a"])), [[0, 1, 2], [0, 2, 1], [1, 0, 2]]);
        assert_eq!(orders(&events(&["a", "a"])), [[0, 1]]);
    }

    #[test]
    fn many_orders_are_swaps_of_neighbours() {
        let keys = ["a", "b", "c", "d", "e", "e"];
        let orders = orders(&events(&keys));
        assert_eq!(orders.len(), 1 + 4, "e and e keep their order: {orders:?}");
    }

    #[test]
    fn events_of_one_key_are_no_rivals() {
        let played = timelines(&events(&["a", "a"]), &[0, 0]);
        assert!(played.iter().all(|timeline| timeline.disturbance != Disturbance::Rival));
        let played = timelines(&events(&["a", "b"]), &[0, 0]);
        let rivals = played.iter().filter(|timeline| timeline.disturbance == Disturbance::Rival);
        let rivals: Vec<_> = rivals.map(|timeline| timeline.steps.clone()).collect();
        assert_eq!(rivals, [[Step::Beside(0, 1)], [Step::Beside(1, 0)]]);
    }

    #[test]
    fn each_write_is_crashed_behind_and_refused() {
        let played = timelines(&events(&["a"]), &[2]);
        for step in [Step::Crash(0, CrashPoint::Written(2)), Step::Unwritten(0, 1), Step::Unwritten(0, 2)] {
            assert!(played.iter().any(|timeline| timeline.steps == [step]), "{step:?}");
        }
        assert!(played.is_sorted_by_key(Timeline::length));
    }
}
