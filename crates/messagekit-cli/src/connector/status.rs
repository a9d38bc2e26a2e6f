//! `messagekit connector status`.

use messagekit::{Error, ErrorKind, chain};
use messagekit_postgres::cdc::{Finding, Subject};
use serde_json::{Value, json};

use super::apply::findings;
use super::target::{Connect, Source};
use super::worker::Told;
use crate::output::{print, printable};

/// Check connector, slot, publication and rights.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    connect: Connect,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

/// One line: the subject and its problem.
struct Line {
    subject: &'static str,
    /// Its reported state, if useful.
    state: Option<String>,
    problem: Option<(String, String)>,
}

impl Status {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let (name, worker) = (self.source.name()?, self.connect.worker()?);
        // Concurrent, so that the slower one bounds the time.
        let url = self.source.url()?;
        let (found, told) = tokio::join!(findings(url), worker.told(&name));
        let lines: Vec<Line> = database(found).into_iter().chain(connector(&name, told)).collect();
        let problems = lines.iter().filter(|line| line.problem.is_some()).count();
        if self.json {
            let lines: Vec<Value> = lines.iter().map(Line::json).collect();
            print(json!({ "connector": name, "ok": problems == 0, "checks": lines }))?;
        } else {
            for line in &lines {
                print(line)?;
            }
        }
        match problems {
            0 => Ok(()),
            1 => Err(Error::new(ErrorKind::WrongState, format!("connector {name}: 1 problem"))),
            _ => Err(Error::new(ErrorKind::WrongState, format!("connector {name}: {problems} problems"))),
        }
    }
}

impl Line {
    fn json(&self) -> Value {
        let (what, fix) = self.problem.clone().unzip();
        json!({ "check": self.subject, "ok": self.problem.is_none(), "state": self.state, "problem": what, "fix": fix })
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let subject = self.subject;
        match (&self.problem, &self.state) {
            (Some((what, fix)), _) => {
                write!(f, "{subject:<12} PROBLEM  {}: {}", printable(what), printable(fix))
            }
            (None, Some(state)) => write!(f, "{subject:<12} ok       {state}"),
            (None, None) => write!(f, "{subject:<12} ok"),
        }
    }
}

/// The checks of the database.
fn database(found: Result<Vec<Finding>, Error>) -> Vec<Line> {
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let text = chain(&error);
            let (what, fix) = text.split_once(": ").unwrap_or((&text, "see PostgreSQL's log"));
            let problem = Some((what.to_owned(), fix.to_owned()));
            return vec![Line { subject: "database", state: None, problem }];
        }
    };
    let mut lines = vec![Line { subject: "database", state: None, problem: None }];
    for subject in Subject::ALL {
        let about: Vec<&Finding> = found.iter().filter(|found| found.subject == subject).collect();
        // Without a slot, a missing reader is no separate problem.
        let pointless =
            subject == Subject::Reader && found.iter().any(|found| found.subject == Subject::Slot);
        if about.is_empty() && !pointless {
            lines.push(Line { subject: subject.as_str(), state: None, problem: None });
        }
        for finding in about {
            let problem = Some((finding.what.clone(), finding.fix.clone()));
            lines.push(Line { subject: subject.as_str(), state: None, problem });
        }
    }
    lines
}

/// The checks of the worker.
fn connector(name: &str, told: Result<Option<Told>, Error>) -> Vec<Line> {
    let line = |subject, state: Option<String>, problem: Option<(String, &str)>| Line {
        subject,
        state,
        problem: problem.map(|(what, fix)| (what, fix.to_owned())),
    };
    let told = match told {
        Ok(told) => told,
        Err(error) => {
            let text = chain(&error);
            let (what, fix) = text.split_once(": ").unwrap_or((&text, "look at the worker's log"));
            return vec![line("worker", None, Some((what.to_owned(), fix)))];
        }
    };
    let mut lines = vec![line("worker", None, None)];
    let Some(told) = told else {
        let what = format!("there is no connector {name}");
        lines.push(line("connector", None, Some((what, "run `messagekit connector apply`"))));
        return lines;
    };
    let fix = "repair the cause, then run `messagekit connector apply`";
    let trace = told.trace.as_ref().map_or_else(String::new, |trace| format!(": {trace}"));
    let problem = (told.connector != "RUNNING").then(|| (format!("it is {}{trace}", told.connector), fix));
    lines.push(line("connector", Some(format!("says {}", told.connector)), problem));
    match told.task {
        None => lines.push(line("task", None, Some(("there is no task".to_owned(), fix)))),
        Some(task) => {
            let problem = (task != "RUNNING").then(|| (format!("it is {task}{trace}"), fix));
            lines.push(line("task", Some(format!("says {task}")), problem));
        }
    }
    lines
}
