//! The expressions of a dashboard of Grafana.

use serde_json::Value;

/// Returns the expressions of a dashboard: the place of each, and the labels that its legend shows.
pub(crate) fn expressions(text: &str) -> Vec<(String, String, Vec<String>)> {
    let dashboard: Value = serde_json::from_str(text).expect("a dashboard is JSON");
    let variables = list(&dashboard["templating"]["list"]);
    let mut found = Vec::new();
    for variable in variables {
        // `label_values(METRIC, LABEL)`: as an expression, the sum by that label.
        let (query, name) = (self::text(&variable["query"]), self::text(&variable["name"]));
        let inner = query.strip_prefix("label_values(").and_then(|query| query.strip_suffix(')'));
        let (metric, label) = inner.and_then(|inner| inner.split_once(", ")).expect("a metric and its label");
        assert_source(variable);
        found.push((
            format!("variable {name}"),
            format!("sum by ({label}) ({metric})"),
            vec![label.to_owned()],
        ));
    }
    for panel in list(&dashboard["panels"]) {
        let title = self::text(&panel["title"]);
        assert!(!self::text(&panel["description"]).is_empty(), "{title} has no description");
        for target in list(&panel["targets"]) {
            assert_source(target);
            let expression = self::text(&target["expr"]);
            for name in expression.split('$').skip(1).filter(|rest| !rest.starts_with("__rate_interval")) {
                let name = name.split('"').next().unwrap_or_default();
                let is_known = variables.iter().any(|variable| variable["name"] == name);
                assert!(is_known, "{title}: there is no variable {name}");
            }
            let legend = self::text(&target["legendFormat"]);
            let shown = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
            let place = format!("{title} {}", self::text(&target["refId"]));
            found.push((place, expression.to_owned(), shown.map(str::to_owned).collect()));
        }
    }
    assert!(found.len() > 10, "a dashboard has panels");
    found
}

/// Metrics come from the data source that is provisioned beside the dashboards.
fn assert_source(value: &Value) {
    let provisioned = crate::tree::read("deploy/grafana/provisioning/datasources/messagekit.yml");
    let uid = text(&value["datasource"]["uid"]);
    assert!(
        provisioned.contains(&format!("    uid: {uid}\n    type: prometheus\n")),
        "no data source has the uid {uid}"
    );
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}
