//! Records that a user gives: JSON objects, one per line or argument.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use messagekit::{Error, ErrorKind};
use messagekit_topics::parse_json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

/// The most records of one commit, and those that may wait for it.
const BATCH: usize = 1_000;
/// The most bytes of text in one commit, apart from its last record.
const BATCH_BYTES: usize = 4 << 20;
/// The longest line. A record of 900,000 bytes may have many blanks and escapes.
const LINE: u64 = 8 << 20;

/// A line or an argument, and its number from 1.
pub(super) struct Given {
    pub(super) number: u64,
    bytes: usize,
    pub(super) value: Result<Box<RawValue>, Error>,
}

/// Records that arrive.
pub(super) struct Input {
    /// What the number of a record counts.
    unit: &'static str,
    arriving: mpsc::Receiver<Given>,
}

impl Input {
    pub(super) fn of_arguments(arguments: &[String]) -> Self {
        let (sender, arriving) = mpsc::channel(arguments.len().max(1));
        for (number, argument) in (1..).zip(arguments) {
            // Cannot fail: there is room for all.
            sender.try_send(given(number, argument.as_bytes(), "argument")).ok();
        }
        Self { unit: "argument", arriving }
    }

    /// Reads standard input, and says so where a person would wait.
    pub(super) fn of_stdin() -> Self {
        if io::stdin().is_terminal() {
            eprintln!("reading one JSON object per line from this terminal: end with Ctrl-D");
        }
        Self::of(io::stdin())
    }

    /// Reads a file; `-` is standard input.
    pub(super) fn of_file(path: &Path) -> Result<Self, Error> {
        if path == Path::new("-") {
            return Ok(Self::of_stdin());
        }
        let unreadable = |error| {
            let text = "file cannot be read";
            Error::new(ErrorKind::NotFound, text).with("path", path.display()).caused_by(error)
        };
        Ok(Self::of(File::open(path).map_err(unreadable)?))
    }

    // A thread of its own: one that waits for a terminal must not keep the program from ending.
    fn of(source: impl Read + Send + 'static) -> Self {
        let (sender, arriving) = mpsc::channel(BATCH);
        std::thread::spawn(move || read(BufReader::new(source), &sender));
        Self { unit: "line", arriving }
    }

    /// Waits for a record, and returns it with those that have arrived behind it; nothing at the end.
    pub(super) async fn batch(&mut self) -> Vec<Given> {
        let Some(first) = self.arriving.recv().await else { return Vec::new() };
        let mut bytes = first.bytes;
        let mut batch = vec![first];
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Ok(next) = self.arriving.try_recv() else { break };
            bytes += next.bytes;
            batch.push(next);
        }
        batch
    }

    /// Says where an error is.
    pub(super) fn at(&self, number: u64, error: Error) -> Error {
        error.with(self.unit, number)
    }
}

fn read(mut source: impl BufRead, records: &mpsc::Sender<Given>) {
    for number in 1.. {
        let mut line = Vec::new();
        let read = (&mut source).take(LINE).read_until(b'\n', &mut line);
        let record = match read {
            Ok(0) => return,
            Ok(_) if line.len() as u64 == LINE && line.last() != Some(&b'\n') => {
                let text = format!("line is longer than {LINE} bytes: write one record per line");
                failed(number, Error::new(ErrorKind::TooLarge, text))
            }
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => given(number, line.trim_ascii(), "line"),
            Err(error) => {
                let text = "records cannot be read";
                failed(number, Error::new(ErrorKind::Unavailable, text).caused_by(error))
            }
        };
        let is_last = record.value.is_err();
        // The receiver is gone when the command has failed.
        if records.blocking_send(record).is_err() || is_last {
            return;
        }
    }
}

fn given(number: u64, text: &[u8], unit: &str) -> Given {
    let value = match std::str::from_utf8(text) {
        Ok(text) => parse_json(text).map_err(Error::from),
        Err(error) => {
            let text = format!("{unit} is no UTF-8");
            Err(Error::new(ErrorKind::InvalidEvent, text).with("byte", error.valid_up_to()))
        }
    };
    Given { number, bytes: text.len(), value }
}

fn failed(number: u64, error: Error) -> Given {
    Given { number, bytes: 0, value: Err(error) }
}
