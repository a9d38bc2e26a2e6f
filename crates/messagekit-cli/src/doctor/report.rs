//! The findings of all services, for people and as JSON.

use messagekit::operations::{Diagnosis, Finding, Repair, Severity};
use messagekit::{Error, ErrorKind};
use messagekit_admin::DoctorView;
use serde_json::Value;

use crate::output::printable;

/// The outcome of every service.
#[derive(Debug, Default)]
pub(super) struct Report {
    services: Vec<(String, Diagnosis)>,
}

impl Report {
    pub(super) fn add(&mut self, service: String, diagnosis: Diagnosis) {
        self.services.push((service, diagnosis));
    }

    /// Returns the number of findings that are at least this severe.
    pub(super) fn count(&self, severity: Severity) -> usize {
        self.findings().filter(|(_, found)| found.check.severity >= severity).count()
    }

    fn findings(&self) -> impl Iterator<Item = (&str, &Finding)> {
        let services = self.services.iter();
        services
            .flat_map(|(service, diagnosis)| diagnosis.findings.iter().map(|found| (service.as_str(), found)))
    }

    /// Returns the number of checks that could not be made.
    pub(super) fn unchecked(&self) -> usize {
        self.services.iter().map(|(_, diagnosis)| diagnosis.unchecked.len()).sum()
    }

    pub(super) fn json(&self) -> Result<Value, Error> {
        let mut view = DoctorView::default();
        self.services.iter().for_each(|(service, diagnosis)| view.add(service, diagnosis));
        serde_json::to_value(view).map_err(|error| {
            Error::new(ErrorKind::Other, "the report cannot be written as JSON").caused_by(error)
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut findings: Vec<_> = self.findings().collect();
        // Stable: findings of one severity keep the order of their repair.
        findings.sort_by_key(|(_, found)| std::cmp::Reverse(found.check.severity));
        for (service, found) in findings {
            text.push_str(&paragraph(service, found));
            text.push('\n');
        }
        for (service, diagnosis) in &self.services {
            for checks in diagnosis.unchecked.chunk_by(|one, next| one.reason == next.reason) {
                let names: Vec<&str> = checks.iter().map(|unchecked| unchecked.check.name).collect();
                let (names, reason) = (names.join(", "), printable(&checks[0].reason));
                text.push_str(&format!("not checked  {service}: {names}: {reason}\n"));
            }
        }
        for (service, diagnosis) in &self.services {
            let passed: Vec<&str> = diagnosis.passed().map(|check| check.name).collect();
            if !passed.is_empty() {
                text.push_str(&format!("passed       {service}: {}\n", passed.join(", ")));
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// A statement or command stands alone on its line, so that it can be copied.
fn paragraph(service: &str, found: &Finding) -> String {
    let severity = found.check.severity.as_str().to_uppercase();
    let (name, why) = (found.check.name, found.check.why);
    let mut text = format!("{severity:<8} {name} of {service}: {}\n  why: {why}\n", printable(&found.text));
    for steps in found.repair.chunk_by(|one, next| one.kind() == next.kind()) {
        let (place, end) = match steps[0] {
            Repair::Sql(_) => ("run in the database:", ";"),
            Repair::Command(_) => ("run in a shell:", ""),
            Repair::Manual(_) => ("by hand:", ""),
        };
        text.push_str(&format!("  {place}\n"));
        for step in steps {
            text.push_str(&format!("    {}{end}\n", printable(step.text())));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use messagekit::operations::Check;
    use serde_json::json;

    use super::*;

    const LOST: Check = Check::problem("slot-lost", "it is gone");
    const LATE: Check = Check::warning("clock-differs", "times are compared");

    fn report() -> Report {
        let mut diagnosis = Diagnosis::of([&LATE, &LOST]);
        let repair = [Repair::Sql("SELECT 1".to_owned()), Repair::Manual("wait\x1b[2J".to_owned())];
        diagnosis.found(&LATE, "shop", "an hour late", []);
        diagnosis.found(&LOST, "slot", "it is lost", repair);
        let mut report = Report::default();
        report.add("shop".to_owned(), diagnosis);
        report
    }

    #[test]
    fn problems_come_first_and_steps_stand_alone() {
        let text = report().text();
        let expected = "PROBLEM  slot-lost of shop: it is lost\n  why: it is gone\n  run in the database:\n    SELECT 1;\n  by hand:\n    wait\u{fffd}[2J\n\n\
            WARNING  clock-differs of shop: an hour late\n  why: times are compared";
        assert_eq!(text, expected);
        assert_eq!((report().count(Severity::Problem), report().count(Severity::Warning)), (1, 2));
    }

    #[test]
    fn json_keeps_the_order_and_the_bytes_of_a_repair() {
        let json = report().json().unwrap();
        assert_eq!(json["findings"][1]["repair"][1], json!({ "kind": "manual", "text": "wait\x1b[2J" }));
        assert_eq!(json["passed"], json!([]));
    }
}
