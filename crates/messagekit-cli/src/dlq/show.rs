//! `messagekit dlq show`.

use messagekit::Error;
use messagekit::operations::{Action, FailedMessage, FailedMessageState, Origin};
use messagekit_admin::documents::FailedMessageDocument;

use super::state;
use crate::database::Database;
use crate::databases::name_of;
use crate::input::number_of_a_message;
use crate::output::{bytes, print, print_json, printable};

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    database: Database,
    /// The failed message's number
    #[arg(value_parser = number_of_a_message)]
    id: i64,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

/// Returns how many runs failed. A retry restarts the count, and the last runs are kept.
fn runs(failed_message: &FailedMessage) -> String {
    let (attempts, crash_count) = (failed_message.attempts, failed_message.crash_count);
    let since = if failed_message.failed_runs.len() as u64 > u64::from(attempts) {
        " since the last retry"
    } else {
        ""
    };
    let crashes = if crash_count > 0 { format!(", {crash_count} ended the process") } else { String::new() };
    format!("{attempts} failed{since}{crashes}")
}

impl Show {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let failed_message = store.store().show(self.id).await?;
        store.close().await?;
        if self.json {
            return print_json(&FailedMessageDocument::whole(&name_of(&self.database)?, failed_message));
        }
        let message = &failed_message.received.message;
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| lines.push(format!("{name:<12} {value}"));
        line(
            "failed message",
            format!("{} of consumer {}", failed_message.id, printable(&failed_message.consumer)),
        );
        line("state", state::with_reason(&failed_message));
        line("runs", runs(&failed_message));
        if failed_message.holds_back > 0 {
            line("holds back", format!("{} later failed messages of its key", failed_message.holds_back));
        }
        line("error", format!("{}: {}", printable(&failed_message.kind), printable(&failed_message.error)));
        line("fingerprint", failed_message.fingerprint.clone());
        line("set aside", failed_message.set_aside_at.to_string());
        line("changed", failed_message.changed_at.to_string());
        if let Some(due) = failed_message.due {
            line("due", due.to_string());
        }
        for run in &failed_message.failed_runs {
            let by =
                run.instance.as_deref().map(printable).unwrap_or_else(|| "an earlier program".to_owned());
            line(
                "failed run",
                format!("{:.0}, attempt {} on {by}: {}", run.at, run.attempt, printable(&run.error)),
            );
        }
        if failed_message.origin != Origin::Store {
            let way = failed_message.return_to.as_deref().map(printable);
            line("kept by", format!("a {} of the broker", failed_message.origin));
            line(
                "retry goes",
                way.map_or_else(|| "nowhere: the way back is not known".to_owned(), |to| format!("to {to}")),
            );
        }
        line("message", printable(failed_message.message_id.as_str()));
        let position = failed_message.position.as_ref().map(ToString::to_string);
        line("position", printable(&position.unwrap_or_else(|| message.topic.to_string())));
        line("key", message.key.as_deref().map(bytes).unwrap_or_else(|| "none".to_owned()));
        for (name, value) in message.headers.iter() {
            line("header", format!("{}: {}", printable(name), bytes(value)));
        }
        line("payload", format!("{} bytes", message.payload.len()));
        lines.push(bytes(&message.payload));
        lines.extend(self.commands(&failed_message));
        print(lines.join("\n"))
    }

    /// Returns the commands that are possible in the state of the message, after an empty line.
    fn commands(&self, failed_message: &FailedMessage) -> Vec<String> {
        let run = if failed_message.state == FailedMessageState::Dead { "once more" } else { "now" };
        let run = format!("to run it {run}");
        let possible = [
            (Action::Retry, &*run),
            (Action::Discard, "to give it up"),
            (Action::Undo, "to take the discard back"),
        ];
        // A row of a table source that was set aside has no process that could run it.
        let has_runner = !failed_message.consumer.starts_with("route:");
        let possible = possible
            .into_iter()
            .filter(|(action, _)| action.of(failed_message.state).is_some())
            .filter(|(action, _)| has_runner || *action != Action::Retry);
        let lines = possible.enumerate().map(|(index, (action, effect))| {
            let command = self.database.command(&format!("messagekit dlq {action} {}", failed_message.id));
            format!("{}{effect}: {command}", if index == 0 { "\n" } else { "" })
        });
        lines.collect()
    }
}
