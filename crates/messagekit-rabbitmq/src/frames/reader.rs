//! Reads the frames of a connection, and decides which of them the client may read unchanged.

use super::cursor::Cursor;
use super::properties::{check, is_text};
use super::unreadable::{MAX_HELD, hold};

/// Type, channel and length.
const BEGIN: usize = 7;
/// The byte after a frame.
const END: u8 = 0xce;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// The length of a content header before its properties: class, weight and the size of the body.
const BEFORE_PROPERTIES: usize = 12;

/// The minimal value of the largest frame that a side may require.
const LEAST_FRAME: usize = 4_096;

/// The largest content header that is checked; the properties of a larger one are unreadable. It exceeds the frames
/// that RabbitMQ sends by default (131,072 bytes).
const MAX_HEADER: usize = 256 * 1024;

/// The largest method that is checked: no method with texts of publishers is larger.
const MAX_METHOD: usize = 1_200;

/// Reads frames from arbitrary pieces of a stream, and passes on those that the client can read. Pure: no socket and
/// no clock.
///
/// It holds back at most one content header ([`MAX_HEADER`]); payloads pass without a delay.
#[derive(Debug)]
pub(super) struct FrameReader {
    state: State,
    /// The largest frame that the client requests.
    wanted: usize,
    /// The largest frame that both sides agreed on.
    largest: usize,
    /// The beginning of a frame that is held back.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Before a frame, or in its first bytes.
    #[default]
    Begin,
    /// In a frame that is checked when it is complete; its size in bytes.
    Whole(usize),
    /// In a content header that is too large: the bytes to keep, and the bytes left to skip.
    TooLarge { kept: usize, left: usize },
    /// In a frame that passes without a check; the bytes left.
    Pass(usize),
    /// The peer does not send frames: the client ends the connection because of it.
    Foreign,
}

impl FrameReader {
    /// Creates a reader before the first byte; `wanted` is the largest frame that the client accepts, and 0 is no
    /// limit.
    pub(super) fn new(wanted: u32) -> Self {
        Self { state: State::Begin, wanted: limit(wanted), largest: LEAST_FRAME, held: Vec::new() }
    }

    /// Takes the next bytes of the stream and appends to `out` the bytes that the client may read.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            match self.state {
                State::Begin => {
                    if self.fill(BEGIN, &mut bytes) {
                        self.begin(out);
                    }
                }
                State::Whole(size) => {
                    if self.fill(size, &mut bytes) {
                        self.whole(out);
                    }
                }
                State::TooLarge { kept, left } => {
                    if self.fill(kept, &mut bytes) {
                        let left = left - pass(left, &mut bytes).len();
                        self.state = State::TooLarge { kept, left };
                        if left == 0 {
                            self.replace(out);
                        }
                    }
                }
                State::Pass(left) => {
                    let passed = pass(left, &mut bytes);
                    out.extend_from_slice(passed);
                    let left = left - passed.len();
                    self.state = if left == 0 { State::Begin } else { State::Pass(left) };
                }
                State::Foreign => out.extend_from_slice(pass(bytes.len(), &mut bytes)),
            }
        }
    }

    /// Holds bytes back until there are `size` of them. Returns whether there are.
    fn fill(&mut self, size: usize, bytes: &mut &[u8]) -> bool {
        self.held.extend_from_slice(pass(size - self.held.len(), bytes));
        self.held.len() == size
    }

    /// Decides by the first bytes of a frame how to treat it.
    fn begin(&mut self, out: &mut Vec<u8>) {
        let mut begin = Cursor(&self.held);
        let (kind, length) = (begin.u8(), begin.take(2).and_then(|_| begin.u32()));
        let behind = length.and_then(|length| usize::try_from(length).ok()?.checked_add(1));
        self.state = match (kind, behind) {
            (Some(HEADER), Some(behind)) if behind <= MAX_HEADER => State::Whole(BEGIN + behind),
            (Some(HEADER), Some(behind)) => {
                let kept = BEGIN + BEFORE_PROPERTIES + MAX_HELD;
                State::TooLarge { kept, left: BEGIN + behind - kept }
            }
            (Some(METHOD), Some(behind)) if behind <= MAX_METHOD => State::Whole(BEGIN + behind),
            (Some(METHOD | BODY | HEARTBEAT), Some(behind)) => State::Pass(behind),
            _ => State::Foreign,
        };
        if matches!(self.state, State::Pass(_) | State::Foreign) {
            out.append(&mut self.held);
        }
    }

    /// Passes on a whole frame, repaired or replaced if the client cannot read it.
    fn whole(&mut self, out: &mut Vec<u8>) {
        self.state = State::Begin;
        if let [kind, _, _, _, _, _, _, contents @ .., END] = &mut self.held[..] {
            if *kind == METHOD {
                mend_method(contents);
                // The broker's connection.tune; its frame_max follows its channel_max.
                if let [0, 10, 0, 30, _, _, frame_max @ ..] = contents {
                    let offered = Cursor(frame_max).u32().map_or(LEAST_FRAME, limit);
                    self.largest = offered.min(self.wanted).max(LEAST_FRAME);
                }
            } else if let Some(properties) = contents.get(BEFORE_PROPERTIES..)
                && (check(properties).is_err() || contents.len() + BEGIN + 1 > self.largest)
            {
                // The client ends the connection over a larger frame too. Brokers add headers to those of publishers.
                self.held.pop();
                return self.replace(out);
            }
        }
        // The client rejects a frame without its end byte.
        out.append(&mut self.held);
    }

    /// Passes on the held content header with its properties replaced by others that the client can read.
    fn replace(&mut self, out: &mut Vec<u8>) {
        self.state = State::Begin;
        let (before, properties) = self.held.split_at(BEGIN + BEFORE_PROPERTIES);
        let length_at = out.len() + 3;
        out.extend_from_slice(before);
        hold(properties, self.largest - BEGIN - BEFORE_PROPERTIES - 1, out);
        let length = u32::try_from(out.len() - length_at - 4).unwrap_or(u32::MAX).to_be_bytes();
        out[length_at..length_at + 4].copy_from_slice(&length);
        out.push(END);
        self.held.clear();
    }
}

/// Returns the limit that a `frame_max` means: 0 is no limit.
fn limit(frame_max: u32) -> usize {
    match frame_max {
        0 => usize::MAX,
        frame_max => usize::try_from(frame_max).unwrap_or(usize::MAX),
    }
}

/// Takes at most `most` bytes from the front.
fn pass<'a>(most: usize, bytes: &mut &'a [u8]) -> &'a [u8] {
    let (passed, rest) = bytes.split_at(bytes.len().min(most));
    *bytes = rest;
    passed
}

/// Replaces non-ASCII bytes in texts that are not UTF-8: the exchange and routing key of a delivery, which messages
/// here do not have, and the broker's close reason, which it truncates at 252 bytes. No length changes.
fn mend_method(method: &mut [u8]) {
    /// A text; any other part is given by its number of bytes.
    const TEXT: usize = usize::MAX;
    let parts: &[usize] = match method {
        [0, 10, 0, 50, ..] | [0, 20, 0, 40, ..] => &[2, TEXT],
        [0, 60, 0, 60, ..] => &[TEXT, 9, TEXT, TEXT],
        [0, 60, 0, 50, ..] => &[2, TEXT, TEXT, TEXT],
        [0, 60, 0, 71, ..] => &[9, TEXT, TEXT],
        _ => return,
    };
    let mut rest = &mut method[4..];
    for part in parts {
        let length = match (*part, rest.first()) {
            (TEXT, Some(length)) => 1 + usize::from(*length),
            (TEXT, None) => return,
            (width, _) => width,
        };
        let Some((texts, behind)) = rest.split_at_mut_checked(length) else { return };
        if *part == TEXT && !is_text(&texts[1..]) {
            texts[1..].iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
        }
        rest = behind;
    }
}
