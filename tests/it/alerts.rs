//! Alert rules and dashboards use the metrics that programs have, and the rules fire when they should.

mod dashboard;
mod query;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use messagekit_prometheus::names;

use crate::tree::{files, quoted, read, root};
use query::{Labels, findings};
use rules::Rules;

/// Returns the documented labels of each metric, and those that Prometheus itself adds.
fn documented() -> Labels {
    let source = read("crates/messagekit-prometheus/src/names.rs");
    let (mut labels, mut comment) = (Labels::new(), String::new());
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("///") {
            comment += text;
            continue;
        }
        if let Some(name) = line.strip_prefix("pub const ").and_then(|rest| rest.split('"').nth(1)) {
            let named = comment.split("Labels:").nth(1).unwrap_or_else(|| panic!("{name} lists no labels"));
            labels.insert(name.to_owned(), quoted(named).map(str::to_owned).collect());
        }
        comment.clear();
    }
    assert_eq!(labels.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(names::ALL));
    labels.insert("up".to_owned(), BTreeSet::new());
    for names in labels.values_mut() {
        names.extend(["job", "instance"].map(str::to_owned));
    }
    labels
}

/// Returns every expression of rules and dashboards, with the labels that its texts show, by its place.
fn expressions() -> BTreeMap<String, (String, Vec<String>)> {
    let mut found = BTreeMap::new();
    for rule in Rules::read(&read("deploy/prometheus/rules.yml")).alerts() {
        found.insert(format!("rule {}", rule.alert), (rule.expr.clone(), rule.shown_labels()));
    }
    for file in files().iter().filter(|file| file.starts_with("deploy/grafana/dashboards/")) {
        for (place, expression, shown) in dashboard::expressions(&read(file)) {
            let twice = found.insert(format!("{file}: {place}"), (expression, shown));
            assert!(twice.is_none(), "{file} has two of {place}");
        }
    }
    found
}

#[test]
fn rules_and_dashboards_use_metrics_and_labels_that_exist() {
    let (labels, mut wrong) = (documented(), Vec::new());
    for (place, (expression, shown)) in expressions() {
        wrong.extend(
            findings(&expression, &shown, &labels).into_iter().map(|text| format!("{place}: {text}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_metric_is_in_a_rule_or_a_dashboard() {
    let labels = documented();
    let all = expressions();
    let used: BTreeSet<String> =
        all.values().flat_map(|(expression, _)| query::metrics(expression, &labels)).collect();
    let unused: Vec<&str> = names::ALL.into_iter().filter(|name| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "no rule and no dashboard shows {unused:?}");
}

/// An expression that is wrong, and the finding.
const WRONG: &[(&str, &str)] = &[
    ("messagekit_outbox_late > 1", "there is no metric messagekit_outbox_late"),
    ("messagekit_outbox_pending_total", "there is no metric"),
    ("messagekit_outbox_pending_sum", "there is no metric"),
    ("messagekit_relay_publish_seconds", "is a histogram"),
    ("messagekit_outbox_pending{consumer=\"billing\"}", "messagekit_outbox_pending has no label consumer"),
    ("sum by (topic) (rate(messagekit_relay_published_total[5m]))", "no metric below has the label topic"),
    ("sum by (le) (messagekit_relay_shards)", "no metric below has the label le"),
    ("messagekit_relay_shards < on (bridge) messagekit_relay_shards", "no metric below has the label bridge"),
    ("sum(messagekit_relay_shards", "unclosed left parenthesis"),
    ("vector(1)", "names no metric"),
];

#[test]
fn an_expression_over_a_missing_metric_or_label_is_refused() {
    let labels = documented();
    for (expression, says) in WRONG {
        let found = findings(expression, &[], &labels).join("\n").to_lowercase();
        assert!(
            found.contains(&says.to_lowercase()),
            "{expression} should say {says:?}, and it says {found:?}"
        );
    }
    let shown = ["exchange".to_owned()];
    let found = findings("sum by (bridge) (messagekit_bridge_blocked)", &shown, &labels);
    assert_eq!(found, ["the text shows the label exchange, which the result does not have"]);
    assert!(findings("up{job=\"messagekit\"} == 0", &["instance".to_owned()], &labels).is_empty());
}

#[test]
fn each_alert_says_what_to_do_and_names_a_page() {
    let rules = Rules::read(&read("deploy/prometheus/rules.yml"));
    let (names, cases) = (rules.alerts().map(|rule| &rule.alert), read("deploy/prometheus/rules_test.yml"));
    for name in names.clone() {
        assert!(
            cases.contains(&format!("alertname=\"{name}\""))
                || cases.contains(&format!("alertname: {name}\n"))
        );
    }
    assert_eq!(names.clone().collect::<BTreeSet<_>>().len(), names.count(), "two alerts have one name");
    for rule in rules.alerts() {
        let name = &rule.alert;
        assert!(["critical", "warning"].contains(&rule.labels.severity.as_str()), "{name}");
        let (summary, description) = (&rule.annotations.summary, &rule.annotations.description);
        assert!(!summary.ends_with('.') && summary.len() < 100, "{name}: {summary}");
        assert!(description.ends_with('.') && description.len() > 80, "{name}: {description}");
        let (page, heading) = rule.annotations.page.split_once('#').expect("a page and its heading");
        let headings = read(page);
        let mut headings = headings.lines().filter(|line| line.starts_with('#')).map(rules::anchor);
        assert!(headings.any(|known| known == heading), "{name}: {page} has no heading {heading}");
    }
}

/// Runs promtool of Prometheus.
fn promtool(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("promtool").args(arguments).current_dir(root()).output();
    let output = output.unwrap_or_else(|error| {
        panic!("promtool does not start ({error}): install it, on Debian with `apt-get install prometheus`")
    });
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if output.status.success() { Ok(text) } else { Err(text) }
}

#[test]
fn prometheus_accepts_its_configuration_and_rules() {
    let checked = promtool(&["check", "config", "deploy/prometheus/prometheus.yml"]).expect("is right");
    let count = Rules::read(&read("deploy/prometheus/rules.yml")).alerts().count();
    assert!(checked.contains(&format!("{count} rules found")), "{checked}");
}

#[test]
fn each_alert_fires_for_its_case_and_no_other() {
    promtool(&["test", "rules", "deploy/prometheus/rules_test.yml"]).expect("every case is right");
    // A threshold that moved is noticed.
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (from, to) in [("> 300", "> 900"), ("< 64", "< 65"), ("for: 15m", "for: 5m"), (" == 2", " > 0")] {
        let rules = read("deploy/prometheus/rules.yml");
        assert!(rules.contains(from), "the rules no longer have {from:?}");
        std::fs::write(folder.path().join("rules.yml"), rules.replace(from, to)).expect("can be written");
        let cases = folder.path().join("rules_test.yml");
        std::fs::write(&cases, read("deploy/prometheus/rules_test.yml")).expect("can be written");
        let ran = promtool(&["test", "rules", cases.to_str().expect("a path of text")]);
        assert!(ran.is_err(), "no case notices that {from:?} became {to:?}");
    }
}
