//! Faults in the setup of a database or a broker, with their repairs.

use std::fmt;
use std::time::Duration;

use crate::status::UnhandledMessages;
use crate::store::BoxFuture;

/// What a finding means for the promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is broken now; a promise is weaker than it could be, or a fault is near.
    Warning,
    /// Events do not move, or a promise does not hold.
    Problem,
}

crate::__words! {
    Severity {
        Warning: "warning",
        Problem: "problem",
    }
}

/// One question about a setup. Its findings have its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// The name in kebab case. It stays the same across versions.
    pub name: &'static str,
    /// The severity of its findings.
    pub severity: Severity,
    /// Why a finding matters: one sentence.
    pub why: &'static str,
}

impl Check {
    /// Defines a check whose findings are problems.
    pub const fn problem(name: &'static str, why: &'static str) -> Self {
        Self { name, severity: Severity::Problem, why }
    }

    /// Defines a check whose findings are warnings.
    pub const fn warning(name: &'static str, why: &'static str) -> Self {
        Self { name, severity: Severity::Warning, why }
    }
}

/// One step of a repair. The steps of a finding are run in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// A statement for the database that was examined.
    Sql(String),
    /// A line for a shell. It contains no password: programs find one in the environment.
    Command(String),
    /// What only a person can do.
    Manual(String),
}

impl Repair {
    /// Joins the words of a command, quoted for a shell where necessary.
    pub fn command<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Self {
        let words: Vec<String> = words.into_iter().map(|word| shell_word(word.as_ref())).collect();
        Self::Command(words.join(" "))
    }

    /// Returns the word for its kind: `sql`, `command` or `manual`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sql(_) => "sql",
            Self::Command(_) => "command",
            Self::Manual(_) => "manual",
        }
    }

    /// Returns the statement, the line or the sentence.
    pub fn text(&self) -> &str {
        match self {
            Self::Sql(text) | Self::Command(text) | Self::Manual(text) => text,
        }
    }
}

fn shell_word(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@,+%".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// One fault and its repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check that found it.
    pub check: &'static Check,
    /// The object that it is about, such as a table, a topic or a queue.
    pub subject: String,
    /// What was found, with the values: one sentence without a full stop.
    pub text: String,
    /// The steps of the repair.
    pub repair: Vec<Repair>,
}

/// A check that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchecked {
    /// The check.
    pub check: &'static Check,
    /// Why it could not be made.
    pub reason: String,
}

/// A topic that a consumer of a database reads, and how long that consumer recognises a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DedupReach {
    /// The consumer.
    pub consumer: String,
    /// The topic that it has read.
    pub topic: String,
    /// Its dedup window.
    pub window: Duration,
}

/// The outcome of all checks of one database or broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// Every check of this kind of service.
    pub checks: Vec<&'static Check>,
    /// The faults, in the order of their repair.
    pub findings: Vec<Finding>,
    /// The checks that could not be made, wholly or in part.
    pub unchecked: Vec<Unchecked>,
    /// The dedup windows that the database knows, for the checks of a broker.
    pub dedup_reach: Vec<DedupReach>,
}

impl Diagnosis {
    /// Begins with these checks and no finding.
    pub fn of(checks: impl IntoIterator<Item = &'static Check>) -> Self {
        Self { checks: checks.into_iter().collect(), ..Self::default() }
    }

    /// Adds a fault.
    pub fn found(
        &mut self,
        check: &'static Check,
        subject: impl Into<String>,
        text: impl Into<String>,
        repair: impl Into<Vec<Repair>>,
    ) {
        let (subject, text, repair) = (subject.into(), text.into(), repair.into());
        self.findings.push(Finding { check, subject, text, repair });
    }

    /// Adds an [`EVENT_TYPE_MISSPELT`] of a consumer.
    pub fn found_misspelt(&mut self, consumer: &str, messages: &UnhandledMessages) {
        let UnhandledMessages { topic, event_type, similar, messages, last_at, .. } = messages;
        let (similar, one) = (similar.join(", "), if *messages == 1 { "message" } else { "messages" });
        // The name comes from a producer.
        let text = format!(
            "consumer {consumer} has passed over {messages} {one} of type {event_type:?} on {topic}, the last at {last_at}, \
             and handles {similar}"
        );
        let repair = "if one name is wrong, correct it, and read the messages again as docs/ordering-and-failures.md says under \
                      \"Types without a handler\"; this warning ends a week after the last message";
        self.found(&EVENT_TYPE_MISSPELT, consumer, text, [Repair::Manual(repair.to_owned())]);
    }

    /// Adds a [`RELAY_ABSENT`]; `pending` is the number of events that wait.
    pub fn found_no_relay(&mut self, outbox: &str, pending: impl fmt::Display, repair: Repair) {
        let text = format!("no relay has held a lease for 30 s, and {pending} events are pending");
        self.found(&RELAY_ABSENT, outbox, text, [repair]);
    }

    /// Adds an [`EVENTS_REJECTED`], with the number of rejected events and of the events behind them. `most` is where their count
    /// ends, if it does. `command` returns a command of `messagekit` for this database.
    pub fn found_rejected(
        &mut self,
        outbox: &str,
        (rejected, behind): (u64, u64),
        most: Option<u64>,
        command: impl Fn(&[&str]) -> Repair,
    ) {
        let text = match most.filter(|most| rejected + behind > *most) {
            Some(most) => {
                format!("the broker has rejected events, and with those behind them more than {most} wait")
            }
            None => format!("the broker has rejected {rejected} events, and {behind} wait behind them"),
        };
        let repair = [
            command(&["outbox", "rejected", "list"]),
            Repair::Manual("remove the cause, which the list names".to_owned()),
            command(&["outbox", "rejected", "retry", "--all", "--yes"]),
        ];
        self.found(&EVENTS_REJECTED, outbox, text, repair);
    }

    /// Adds checks that could not be made because the tables have another version than this program.
    pub fn not_checked_on_tables(&mut self, checks: impl IntoIterator<Item = &'static Check>) {
        self.not_checked(checks, "the tables do not have the version of this program");
    }

    /// Adds checks that could not be made.
    pub fn not_checked(
        &mut self,
        checks: impl IntoIterator<Item = &'static Check>,
        reason: impl Into<String>,
    ) {
        let reason = reason.into();
        self.unchecked.extend(checks.into_iter().map(|check| Unchecked { check, reason: reason.clone() }));
    }

    /// Returns the checks that were made and found nothing.
    pub fn passed(&self) -> impl Iterator<Item = &'static Check> {
        let failed = |check: &&'static Check| {
            self.findings.iter().any(|found| found.check == *check)
                || self.unchecked.iter().any(|unchecked| unchecked.check == *check)
        };
        self.checks.iter().copied().filter(move |check| !failed(check))
    }
}

/// Examines the setup of a database or a broker.
pub trait Doctor: Send + Sync {
    /// Makes every check, and changes nothing. A service that does not answer is a finding, and a check that cannot be
    /// made is named with the reason.
    ///
    /// The default knows no check.
    fn diagnose(&self) -> BoxFuture<'_, Diagnosis> {
        Box::pin(async { Diagnosis::default() })
    }
}

/// The database or broker does not answer.
pub const SERVICE_UNREACHABLE: Check =
    Check::problem("service-unreachable", "nothing can be read from it or written to it");

/// The tables are older than this program.
pub const SCHEMA_PENDING: Check =
    Check::problem("schema-pending", "programs of this version refuse to work on older tables");

/// No relay publishes an outbox whose mode is the relay.
pub const RELAY_ABSENT: Check =
    Check::problem("relay-absent", "pending events stay in the outbox until a relay runs");

/// A table source whose changes become no events.
pub const TABLE_SOURCE_FAULTY: Check = Check::problem(
    "table-source-faulty",
    "changes of the table become no events, or other ones than its rules say, and no writer notices",
);

/// The broker has rejected events.
pub const EVENTS_REJECTED: Check = Check::problem(
    "events-rejected",
    "a rejected event and the later events of its key stay until an operator decides",
);

/// A consumer has passed over messages whose type is nearly one that it handles.
pub const EVENT_TYPE_MISSPELT: Check = Check::warning(
    "event-type-misspelt",
    "one name may be wrong, and the consumer passes over what it should handle",
);

/// The time for which [`EVENT_TYPE_MISSPELT`] is found after the last message of a type.
pub const MISSPELT_FOUND: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The clocks of two machines differ.
pub const CLOCK_DIFFERS: Check = Check::warning(
    "clock-differs",
    "ages, delays and dedup windows are compared with times that another clock has written",
);

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: Check = Check::problem("lost", "it is gone");
    const LATE: Check = Check::warning("late", "it comes later");
    const WELL: Check = Check::warning("well", "it is not");

    #[test]
    fn a_check_passes_if_it_was_made_and_found_nothing() {
        let mut diagnosis = Diagnosis::of([&LOST, &LATE, &WELL]);
        diagnosis.found(&LOST, "slot", "slot is lost", [Repair::Manual("find it".to_owned())]);
        diagnosis.not_checked([&LATE], "no right to look");
        assert_eq!(diagnosis.passed().collect::<Vec<_>>(), [&WELL]);
    }

    #[test]
    fn words_of_a_command_are_quoted_where_a_shell_reads_them() {
        let command = Repair::command(["messagekit", "migrate", "--database", "sqlite:it's a file", ""]);
        assert_eq!(command.text(), r"messagekit migrate --database 'sqlite:it'\''s a file' ''");
        assert_eq!(Repair::command(["a=b", "x;y", "$HOME"]).text(), "a=b 'x;y' '$HOME'");
    }
}
