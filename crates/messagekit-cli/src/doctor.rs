//! `messagekit doctor`.

#[cfg(test)]
mod printed_tests;
mod report;
mod settings;

use std::sync::Arc;

use messagekit::operations::{DedupReach, Diagnosis, Severity};
use messagekit::{Error, ErrorKind};
use tokio::task::JoinHandle;

use report::Report;
use settings::{Options, Service};

/// What the help says below the options.
const HELP: &str = "Nothing is changed. The exit code is 1 if there is a problem, and 0 with warnings or unmade checks alone. Printed \
commands contain no password: they take it from PGPASSWORD or the password file, from RABBITMQ_LOGIN (USER:PASSWORD) and \
from MESSAGEKIT_CDC_PASSWORD. They find Kafka Connect at MESSAGEKIT_CONNECT_URL.";

/// Find faults in the setup of databases and brokers, and print the repair of each.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Doctor {
    #[command(flatten)]
    options: Options,
    /// One JSON document instead of lines for people, with the fields of GET /api/v1/doctor
    #[arg(long)]
    json: bool,
    /// Fail on warnings and on checks that could not be made, too
    #[arg(long)]
    strict: bool,
}

impl Doctor {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let settings = self.options.settings()?;
        let mut report = Report::default();
        let mut reach: Vec<DedupReach> = Vec::new();
        for (service, mut diagnosis) in examined(settings.databases).await? {
            reach.append(&mut diagnosis.dedup_reach);
            report.add(service, diagnosis);
        }
        let mut brokers: Vec<Service> = Vec::new();
        if let Some(kafka) = settings.kafka {
            let kafka = kafka.doctor().topics(settings.topics).dedup_reach(reach);
            brokers.push(("kafka".to_owned(), Arc::new(kafka)));
        }
        if let Some(rabbitmq) = settings.rabbitmq {
            brokers.push(("rabbitmq".to_owned(), Arc::new(rabbitmq)));
        }
        for (service, diagnosis) in examined(brokers).await? {
            report.add(service, diagnosis);
        }
        match self.json {
            true => crate::output::print(report.json()?)?,
            false => crate::output::print(report.text())?,
        }
        judge(&report, self.strict)
    }
}

/// Fails with the counts of what the caller does not accept.
fn judge(report: &Report, is_strict: bool) -> Result<(), Error> {
    let problems = report.count(Severity::Problem);
    let mut counts = vec![(problems, "problem", "problems")];
    if is_strict {
        let warnings = report.count(Severity::Warning) - problems;
        counts.push((warnings, "warning", "warnings"));
        counts.push((report.unchecked(), "check not made", "checks not made"));
    }
    let said = |(count, one, many)| format!("{count} {}", if count == 1 { one } else { many });
    let said: Vec<String> = counts.into_iter().filter(|(count, ..)| *count > 0).map(said).collect();
    match said.is_empty() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::WrongState, format!("doctor: {}", said.join(", ")))),
    }
}

/// Examines services side by side, so that the slowest bounds the time.
async fn examined(services: Vec<Service>) -> Result<Vec<(String, Diagnosis)>, Error> {
    let running: Vec<(String, JoinHandle<Diagnosis>)> = services
        .into_iter()
        .map(|(service, examiner)| (service, tokio::spawn(async move { examiner.diagnose().await })))
        .collect();
    let mut examined = Vec::new();
    for (service, running) in running {
        let diagnosis = running.await.map_err(|fault| {
            Error::new(ErrorKind::Other, "an examination ended early")
                .with("service", &service)
                .caused_by(fault)
        })?;
        examined.push((service, diagnosis));
    }
    Ok(examined)
}
