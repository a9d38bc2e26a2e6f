//! The metrics and labels of an expression in PromQL.

use std::collections::{BTreeMap, BTreeSet};

use messagekit_prometheus::names::{
    CONSUMER_LAG_SECONDS, FAILED_MESSAGE_OLDEST_SECONDS, ORDERED_READER_HELD_BYTES, OUTBOX_OLDEST_SECONDS,
    OUTBOX_SLOT_BYTES,
};
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};

/// The labels of each metric, by its name.
pub(crate) type Labels = BTreeMap<String, BTreeSet<String>>;

/// Returns what is wrong with an expression and the labels that a text shows of its result, one line each.
pub(crate) fn findings(expression: &str, shown: &[String], labels: &Labels) -> Vec<String> {
    // Grafana fills it in with a duration.
    let expression = expression.replace("$__rate_interval", "5m");
    let parsed = match parser::parse(&expression) {
        Ok(parsed) => parsed,
        Err(error) => return vec![format!("{expression}: {error}")],
    };
    let mut check = Check { labels, findings: Vec::new(), is_empty: true };
    let result = check.expression(&parsed);
    let missing = shown.iter().filter(|label| !result.contains(*label));
    let missing: Vec<String> = missing
        .map(|label| format!("the text shows the label {label}, which the result does not have"))
        .collect();
    check.findings.extend(missing);
    if check.is_empty {
        check.findings.push(format!("{expression} names no metric"));
    }
    check.findings
}

/// Returns the names of the metrics in an expression, without the suffixes of a histogram.
pub(crate) fn metrics(expression: &str, labels: &Labels) -> BTreeSet<String> {
    let words = expression.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words.filter_map(|word| metric(word, labels)).map(|(name, _)| name.to_owned()).collect()
}

/// Returns the metric behind the name of a series, and the suffix of a histogram.
fn metric<'a>(series: &'a str, labels: &Labels) -> Option<(&'a str, &'a str)> {
    if labels.contains_key(series) {
        return Some((series, ""));
    }
    ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| {
        let name =
            series.strip_suffix(suffix).filter(|name| is_histogram(name) && labels.contains_key(*name));
        name.map(|name| (name, suffix))
    })
}

/// Durations and sizes are histograms, except these gauges; counters end in `_total`.
fn is_histogram(name: &str) -> bool {
    let gauges = [
        OUTBOX_OLDEST_SECONDS,
        OUTBOX_SLOT_BYTES,
        FAILED_MESSAGE_OLDEST_SECONDS,
        CONSUMER_LAG_SECONDS,
        ORDERED_READER_HELD_BYTES,
    ];
    (name.ends_with("_seconds") || name.ends_with("_bytes")) && !gauges.contains(&name)
}

/// A walk through an expression.
struct Check<'a> {
    labels: &'a Labels,
    findings: Vec<String>,
    is_empty: bool,
}

impl Check<'_> {
    /// Checks an expression, and returns the labels of its result.
    fn expression(&mut self, expression: &Expr) -> BTreeSet<String> {
        match expression {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Paren(inner) => self.expression(&inner.expr),
            Expr::Unary(inner) => self.expression(&inner.expr),
            Expr::Subquery(inner) => self.expression(&inner.expr),
            Expr::Call(call) => {
                let mut labels: BTreeSet<String> =
                    call.args.args.iter().flat_map(|argument| self.expression(argument)).collect();
                if call.func.name == "histogram_quantile" {
                    labels.remove("le");
                }
                labels
            }
            Expr::Aggregate(aggregate) => {
                let below = self.expression(&aggregate.expr);
                self.modified(aggregate.modifier.as_ref(), below)
            }
            Expr::Binary(binary) => {
                let (left, right) = (self.expression(&binary.lhs), self.expression(&binary.rhs));
                let both: BTreeSet<String> = left.union(&right).cloned().collect();
                let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
                self.known(matching, &both);
                // Numbers have no labels; two vectors match by those that they share.
                if left.is_empty() { right } else { left }
            }
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => BTreeSet::new(),
        }
    }

    fn selector(&mut self, selector: &VectorSelector) -> BTreeSet<String> {
        self.is_empty = false;
        let series = selector.name.as_deref().unwrap_or_default();
        let Some((name, suffix)) = metric(series, self.labels) else {
            self.findings.push(format!("there is no metric {series}"));
            return BTreeSet::new();
        };
        if suffix.is_empty() && is_histogram(name) {
            self.findings
                .push(format!("{name} is a histogram, and has no value without _bucket, _sum or _count"));
        }
        let mut labels = self.labels[name].clone();
        if suffix == "_bucket" {
            labels.insert("le".to_owned());
        }
        let alternatives = selector.matchers.or_matchers.iter().flatten();
        for matcher in selector.matchers.matchers.iter().chain(alternatives) {
            if !labels.contains(&matcher.name) {
                self.findings.push(format!("{name} has no label {}", matcher.name));
            }
        }
        labels
    }

    /// Returns the labels that an aggregation keeps.
    fn modified(&mut self, modifier: Option<&LabelModifier>, below: BTreeSet<String>) -> BTreeSet<String> {
        self.known(modifier, &below);
        match modifier {
            None => BTreeSet::new(),
            Some(LabelModifier::Include(kept)) => kept.labels.iter().cloned().collect(),
            Some(LabelModifier::Exclude(removed)) => {
                below.into_iter().filter(|label| !removed.labels.contains(label)).collect()
            }
        }
    }

    fn known(&mut self, modifier: Option<&LabelModifier>, below: &BTreeSet<String>) {
        let named = modifier.into_iter().flat_map(|modifier| &modifier.labels().labels);
        let odd = named.filter(|label| !below.contains(*label));
        self.findings.extend(odd.map(|label| format!("no metric below has the label {label}")));
    }
}
