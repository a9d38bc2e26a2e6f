//! The plot of a run: released times against the time since the start, a line for each topic.

use svg::Document;
use svg::node::element::{Group, Line, Polyline, Rectangle, Style, Text, Title};

use super::axis::{Axis, epoch_seconds};
use super::trace::{Span, Trace};
use crate::output::printable;

const WIDTH: f64 = 990.0;
const LEFT: f64 = 152.0;
const RIGHT: f64 = 740.0;
const TOP: f64 = 86.0;
const BOTTOM: f64 = 486.0;
/// Between the names of topics.
const ROW: f64 = 24.0;
/// The longest name that has room beside the plot.
const LONGEST: usize = 22;

/// Colours of the lines on white; on black those that are too dark there get others.
const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a8a8a", "#9a8c00"];

const STYLE: &str = "
text { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif; font-size: 14px; fill: #1f2328 }
.back { fill: #ffffff } .grid { stroke: #d8dee4 } .axis { stroke: #57606a } .live { stroke: #57606a; stroke-dasharray: 5 4 }
.title { font-size: 18px; font-weight: 600 } .soft { fill: #57606a }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .back { fill: #0d1117 } .grid { stroke: #30363d } .axis, .live { stroke: #9da7b3 } .soft { fill: #9da7b3 }
.t0 { stroke: #3f9ddb } .t1 { stroke: #f0b429 } .t2 { stroke: #2bc49a } .t3 { stroke: #e09cc4 } .t4 { stroke: #f0803c }
}";

/// What is written beside the lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Labels<'a> {
    /// Below the title.
    pub(super) summary: &'a str,
    /// How many seconds the run took.
    pub(super) seconds: f64,
    /// When the reader was live.
    pub(super) live: Option<f64>,
}

/// Draws it. Lines of topics that lie upon each other, as those of a right order do, stay visible: each is narrower than the one below.
pub(super) fn plot(trace: &Trace, labels: Labels<'_>) -> Document {
    let topics: Vec<_> = trace.topics().collect();
    let spans = || topics.iter().flat_map(|(_, spans)| *spans);
    let times = spans().map(|span| span.low).min().zip(spans().map(|span| span.high).max());
    let x = Axis::seconds(labels.seconds, 8);
    let height = (BOTTOM + 64.0).max(TOP + ROW * (topics.len() as f64 + 2.0));
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .add(Style::new(STYLE))
        .add(Rectangle::new().set("class", "back").set("width", WIDTH).set("height", height))
        .add(text(LEFT, 34.0, "Released time against wall time").set("class", "title"))
        .add(text(LEFT, 58.0, labels.summary).set("class", "soft"))
        .add(seconds_axis(&x));
    let Some((low, high)) = times else {
        let empty =
            text((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0, "no records").set("text-anchor", "middle");
        return document.add(frame()).add(empty);
    };
    let y = Axis::times(low, high, 8);
    document = document.add(times_axis(&y)).add(frame());
    if let Some(live) = labels.live {
        document = document.add(live_line(across(&x, live)));
    }
    for (index, (topic, spans)) in topics.iter().enumerate() {
        let line = line(index, topics.len(), spans, (&x, &y));
        document = document.add(line.add(Title::new(printable(topic))));
    }
    document.add(legend(&topics))
}

fn across(axis: &Axis, value: f64) -> f64 {
    LEFT + axis.share(value) * (RIGHT - LEFT)
}

fn up(axis: &Axis, value: f64) -> f64 {
    BOTTOM - axis.share(value) * (BOTTOM - TOP)
}

fn line(index: usize, count: usize, spans: &[Span], (x, y): (&Axis, &Axis)) -> Polyline {
    let points = spans.iter().flat_map(Span::points);
    let mut points: Vec<_> = points
        .map(|(after, time)| {
            format!("{:.1},{:.1}", across(x, after.as_secs_f64()), up(y, epoch_seconds(time)))
        })
        .collect();
    points.dedup();
    if let [only] = &points[..] {
        // A line without a length is drawn as a point, by its round ends.
        points.push(only.clone());
    }
    stroke(Polyline::new().set("points", points.join(" ")).set("fill", "none"), index, count)
}

/// Gives a line the colour and the width of its topic.
fn stroke(line: Polyline, index: usize, count: usize) -> Polyline {
    let width = 2.0 + 6.0 * (count - 1 - index) as f64 / (count.max(4) - 1) as f64;
    line.set("class", format!("t{}", index % COLOURS.len()))
        .set("stroke", COLOURS[index % COLOURS.len()])
        .set("stroke-width", format!("{width:.1}"))
        .set("stroke-linejoin", "round")
        .set("stroke-linecap", "round")
}

fn legend(topics: &[(&str, &[Span])]) -> Group {
    let left = RIGHT + 24.0;
    topics.iter().enumerate().fold(Group::new().set("class", "legend"), |group, (index, (topic, _))| {
        let y = TOP + 12.0 + ROW * index as f64;
        let key = Polyline::new().set("points", format!("{left},{y} {},{y}", left + 22.0));
        let name = printable(topic);
        let shown = shortened(&name);
        let name = Group::new().add(Title::new(name)).add(text(left + 34.0, y + 5.0, &shown));
        group.add(stroke(key, index, topics.len())).add(name)
    })
}

/// Cuts a long name in its middle: names of many topics differ at their ends.
fn shortened(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= LONGEST {
        return name.to_owned();
    }
    let (begin, end) = (&characters[..LONGEST / 2 - 1], &characters[characters.len() - LONGEST / 2..]);
    format!("{}…{}", begin.iter().collect::<String>(), end.iter().collect::<String>())
}

fn live_line(x: f64) -> Group {
    let line =
        Line::new().set("class", "live").set("x1", x).set("x2", x).set("y1", TOP - 4.0).set("y2", BOTTOM);
    Group::new().add(line).add(text(x, TOP - 9.0, "live").set("class", "soft").set("text-anchor", "middle"))
}

fn frame() -> Group {
    let axis = |x2: f64, y2: f64| {
        Line::new().set("class", "axis").set("x1", LEFT).set("y1", BOTTOM).set("x2", x2).set("y2", y2)
    };
    Group::new().add(axis(RIGHT, BOTTOM)).add(axis(LEFT, TOP))
}

fn seconds_axis(axis: &Axis) -> Group {
    let title =
        text((LEFT + RIGHT) / 2.0, BOTTOM + 50.0, "seconds since the start").set("text-anchor", "middle");
    axis.ticks().fold(Group::new().add(title), |group, tick| {
        let x = across(axis, tick);
        let grid =
            Line::new().set("class", "grid").set("x1", x).set("x2", x).set("y1", TOP).set("y2", BOTTOM);
        let label = text(x, BOTTOM + 22.0, &axis.number(tick)).set("text-anchor", "middle");
        group.add(grid).add(label)
    })
}

fn times_axis(axis: &Axis) -> Group {
    let middle = (TOP + BOTTOM) / 2.0;
    let day = axis.day().map_or(String::new(), |day| format!(" on {day}"));
    let title = text(22.0, middle, &format!("time of the record, UTC{day}"))
        .set("text-anchor", "middle")
        .set("transform", format!("rotate(-90 22 {middle})"));
    axis.ticks().fold(Group::new().add(title), |group, tick| {
        let y = up(axis, tick);
        let grid =
            Line::new().set("class", "grid").set("x1", LEFT).set("x2", RIGHT).set("y1", y).set("y2", y);
        let label = text(LEFT - 10.0, y + 5.0, &axis.time(tick)).set("text-anchor", "end");
        group.add(grid).add(label)
    })
}

fn text(x: f64, y: f64, content: &str) -> Text {
    Text::new(content).set("x", x).set("y", y)
}
