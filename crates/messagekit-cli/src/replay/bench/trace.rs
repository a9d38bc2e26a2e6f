//! The released times of each topic against the time since the start, in bounded memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// How many spans a topic has at most, more than a plot has columns.
const MOST: usize = 2_048;

/// What is drawn.
#[derive(Debug, Default)]
pub(super) struct Trace {
    topics: BTreeMap<Arc<str>, Spans>,
}

/// Those of one topic.
#[derive(Debug)]
struct Spans {
    spans: Vec<Span>,
    /// How many batches each has, and how many the last one has.
    batches: usize,
    of_last: usize,
}

/// Neighbouring records of a topic: its corners are kept, so that a time that goes backwards stays visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) low: Timestamp,
    pub(super) high: Timestamp,
}

impl Trace {
    /// Adds a record that was released so long after the start. One that stands at no time is not drawn.
    pub(super) fn add(&mut self, topic: &Arc<str>, after: Duration, time: Option<Timestamp>) {
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.clone(), Spans { spans: Vec::new(), batches: 1, of_last: 0 });
        }
        if let (Some(spans), Some(time)) = (self.topics.get_mut(topic), time) {
            spans.add(Span { from: after, to: after, first: time, last: time, low: time, high: time });
        }
    }

    /// Returns the topics that were read, with their spans in the order of their release.
    pub(super) fn topics(&self) -> impl Iterator<Item = (&str, &[Span])> {
        self.topics.iter().map(|(topic, spans)| (&**topic, &*spans.spans))
    }
}

impl Spans {
    fn add(&mut self, one: Span) {
        match self.spans.last_mut() {
            Some(last) if last.to == one.from => *last = last.with(one),
            Some(last) if self.of_last < self.batches => {
                *last = last.with(one);
                self.of_last += 1;
            }
            _ => {
                self.spans.push(one);
                self.of_last = 1;
            }
        }
        if self.spans.len() == MOST && self.of_last == self.batches {
            let pairs = self.spans.chunks(2);
            self.spans = pairs.map(|pair| pair.iter().copied().reduce(Span::with).unwrap_or(one)).collect();
            self.batches *= 2;
            self.of_last = self.batches;
        }
    }
}

impl Span {
    fn with(self, later: Self) -> Self {
        Self {
            to: later.to,
            last: later.last,
            low: self.low.min(later.low),
            high: self.high.max(later.high),
            ..self
        }
    }

    /// Returns the points of a line through it, each once.
    pub(super) fn points(&self) -> Vec<(Duration, Timestamp)> {
        let middle = self.from + (self.to - self.from) / 2;
        let mut points =
            vec![(self.from, self.first), (middle, self.low), (middle, self.high), (self.to, self.last)];
        if self.low == self.first && self.high == self.last {
            points.drain(1..3);
        }
        points.dedup();
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn many_batches_become_few_spans_with_their_corners() {
        let mut trace = Trace::default();
        let topic: Arc<str> = "orders".into();
        for batch in 0..10_000 {
            let time = if batch == 5_001 { 1 } else { batch };
            trace.add(&topic, Duration::from_millis(batch as u64), Some(at(time)));
        }
        let (name, spans) = trace.topics().next().unwrap();
        assert!(name == "orders" && (MOST / 2..MOST).contains(&spans.len()), "{}", spans.len());
        assert_eq!((spans[0].first, spans[spans.len() - 1].last), (at(0), at(9_999)));
        assert!(spans.windows(2).all(|pair| pair[0].to < pair[1].from));
        let widths: Vec<_> = spans[..spans.len() - 1].iter().map(|span| span.to - span.from).collect();
        assert!(
            widths.iter().all(|width| *width == widths[0]),
            "the first seconds are as fine as the last ones"
        );
        let dips = spans.iter().filter(|span| span.low == at(1) && span.first > at(4_000)).count();
        assert_eq!(dips, 1, "what went backwards is still there");
    }

    #[test]
    fn a_line_has_each_corner_once() {
        let mut trace = Trace::default();
        let topic: Arc<str> = "orders".into();
        let second = Duration::from_secs(1);
        for time in [10, 20, 30] {
            trace.add(&topic, second, Some(at(time)));
        }
        trace.add(&topic, second * 2, Some(at(40)));
        trace.add(&topic, second * 2, None);
        let (_, spans) = trace.topics().next().unwrap();
        assert_eq!(spans[0].points(), [(second, at(10)), (second, at(30))]);
        assert_eq!(spans[1].points(), [(second * 2, at(40))]);
        let back = Span { low: at(5), ..spans[0] };
        assert_eq!(back.points(), [(second, at(10)), (second, at(5)), (second, at(30))]);
    }
}
