//! `messagekit dlq`.

use messagekit::{DeadLetter, Error, ErrorKind, LetterFilter, LetterState, chain, headers};
use serde_json::{Value, json};

use crate::database::Database;
use crate::output::{bytes, json_bytes, print, printable, table};

/// List, show and retry dead letters.
#[derive(Debug, clap::Args)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The newest dead letters, newest first
    List(List),
    /// One dead letter, whole
    Show(Show),
    /// Ask the consumer to run dead letters once more
    Retry(Retry),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    database: Database,
    /// Only those of this consumer
    #[arg(long)]
    consumer: Option<String>,
    /// Only those in this state: retrying, dead, replaying, resolved
    #[arg(long)]
    state: Option<LetterState>,
    /// Only those of this event type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only those before this number: the last one of the page before
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    database: Database,
    /// The letter's number
    id: i64,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Retry {
    #[command(flatten)]
    database: Database,
    /// The letters' numbers
    #[arg(required = true)]
    ids: Vec<i64>,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

impl Dlq {
    pub(crate) async fn run(self) -> Result<(), Error> {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Retry(retry) => retry.run().await,
        }
    }
}

impl List {
    async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let filter = LetterFilter {
            consumer: self.consumer,
            state: self.state,
            event_type: self.event_type,
            before: self.before,
        };
        let letters = store.letters().list(&filter, self.limit).await?;
        store.close().await?;
        if self.json {
            let letters: Vec<Value> = letters.iter().map(summary).collect();
            return print(json!({ "letters": letters }));
        }
        if letters.is_empty() {
            return print("no dead letters");
        }
        let mut rows =
            table(&["id", "consumer", "state", "type", "key", "runs", "kind", "error", "set aside"]);
        for letter in &letters {
            rows.add_row([
                letter.id.to_string(),
                letter.consumer.clone(),
                letter.state.to_string(),
                event_type(letter).map(printable).unwrap_or_default(),
                letter.received.message.key.as_deref().map(bytes).unwrap_or_default(),
                letter.attempts.to_string(),
                letter.kind.clone(),
                printable(&letter.error),
                format!("{:.0}", letter.set_aside_at),
            ]);
        }
        print(rows)?;
        if letters.len() == self.limit as usize
            && let Some(last) = letters.last()
        {
            return print(format_args!("more: --before {}", last.id));
        }
        Ok(())
    }
}

impl Show {
    async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let letter = store.letters().show(self.id).await?;
        store.close().await?;
        if self.json {
            let mut whole = summary(&letter);
            whole["headers"] = letter
                .received
                .message
                .headers
                .iter()
                .map(|(name, value)| (name.to_owned(), json_bytes(value)))
                .collect::<serde_json::Map<_, _>>()
                .into();
            whole["payload"] = json_bytes(&letter.received.message.payload);
            return print(whole);
        }
        let message = &letter.received.message;
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| lines.push(format!("{name:<12} {value}"));
        line("letter", format!("{} of consumer {}", letter.id, letter.consumer));
        line("state", letter.state.to_string());
        line("runs", format!("{} failed, {} ended the process", letter.attempts, letter.kills));
        line("error", format!("{}: {}", letter.kind, printable(&letter.error)));
        line("fingerprint", letter.fingerprint.clone());
        line("set aside", letter.set_aside_at.to_string());
        line("changed", letter.changed_at.to_string());
        if let Some(due) = letter.due {
            line("due", due.to_string());
        }
        line("message", letter.received.id.to_string());
        let place = letter.received.place.as_ref().map(ToString::to_string);
        line("place", place.unwrap_or_else(|| message.topic.to_string()));
        line("key", message.key.as_deref().map(bytes).unwrap_or_else(|| "none".to_owned()));
        for (name, value) in message.headers.iter() {
            line("header", format!("{}: {}", printable(name), bytes(value)));
        }
        line("payload", format!("{} bytes", message.payload.len()));
        lines.push(bytes(&message.payload));
        if letter.state == LetterState::Dead {
            let command = self.database.command(&format!("messagekit dlq retry {}", letter.id));
            lines.push(format!("\nto run it once more: {command}"));
        }
        print(lines.join("\n"))
    }
}

impl Retry {
    async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let mut refused = 0;
        let mut answers = Vec::new();
        for id in &self.ids {
            let outcome = store.letters().retry(*id).await;
            refused += u32::from(outcome.is_err());
            let text = match &outcome {
                Ok(()) => "accepted, its consumer runs it once more".to_owned(),
                Err(error) => chain(error),
            };
            if self.json {
                answers.push(json!({ "id": id, "accepted": outcome.is_ok(), "text": text }));
            } else {
                print(format_args!("{id}: {}", printable(&text)))?;
            }
        }
        store.close().await?;
        if self.json {
            print(json!({ "letters": answers }))?;
        }
        if refused > 0 {
            return Err(Error::new(
                ErrorKind::WrongState,
                format!("{refused} of {} not accepted", self.ids.len()),
            ));
        }
        Ok(())
    }
}

fn event_type(letter: &DeadLetter) -> Option<&str> {
    letter.received.message.headers.text(headers::EVENT_TYPE)
}

/// What the list says of a letter; `show` adds headers and payload.
fn summary(letter: &DeadLetter) -> Value {
    let place = letter.received.place.as_ref();
    json!({
        "id": letter.id,
        "consumer": letter.consumer,
        "state": letter.state.as_str(),
        "message_id": letter.received.id.as_str(),
        "event_type": event_type(letter),
        "topic": &*letter.received.message.topic,
        "partition": place.map(|place| place.partition),
        "offset": place.map(|place| place.offset),
        "key": letter.received.message.key.as_deref().map(json_bytes),
        "attempts": letter.attempts,
        "kills": letter.kills,
        "due": letter.due.map(|due| due.to_string()),
        "kind": letter.kind,
        "error": letter.error,
        "fingerprint": letter.fingerprint,
        "set_aside_at": letter.set_aside_at.to_string(),
        "changed_at": letter.changed_at.to_string(),
        "payload_bytes": letter.received.message.payload.len(),
    })
}
