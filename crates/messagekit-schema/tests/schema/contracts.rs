//! A baseline of contracts, and what a change of a service would break.

use messagekit::ErrorKind;
use messagekit_schema::{Compatibility, Contract, Contracts};
use serde_json::{Value, json};

const PLACED: &str = "orders.order.placed";

/// Returns a contract; names of fields that end in `!` are required texts, and the others optional ones.
fn contract(version: &str, earlier: &[&str], fields: &[&str]) -> Contract {
    let required: Vec<&str> = fields.iter().filter_map(|name| name.strip_suffix('!')).collect();
    let properties: serde_json::Map<String, Value> = fields
        .iter()
        .map(|name| (name.trim_end_matches('!').to_owned(), json!({"type": "string"})))
        .collect();
    Contract {
        event_type: PLACED.to_owned(),
        topic: "orders.order".to_owned(),
        version: version.to_owned(),
        earlier: earlier.iter().map(|version| (*version).to_owned()).collect(),
        schema: json!({"type": "object", "properties": properties, "required": required}),
    }
}

fn contracts(events: &[Contract]) -> Contracts {
    Contracts::new(events.to_vec()).expect("plain contracts")
}

fn problems(baseline: &[Contract], now: &[Contract], mode: Compatibility) -> Vec<String> {
    let found = contracts(baseline).check(&contracts(now), mode).expect("schemas have shapes");
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_change_is_judged_by_its_version_and_the_mode() {
    use Compatibility::{Backward, Forward, Full};
    let v1 = || contract("1.0", &[], &["id!", "note"]);
    let all = [Backward, Forward, Full];
    let cases: [(&str, Contract, &[Compatibility], &str); 8] = [
        ("nothing", v1(), &[], ""),
        ("optional field added", contract("1.1", &[], &["id!", "note", "more"]), &[], ""),
        (
            "changed without a version",
            contract("1.0", &[], &["id!", "note", "more"]),
            &all,
            "raise the minor version",
        ),
        (
            "required field added",
            contract("1.1", &[], &["id!", "note", "more!"]),
            &[Backward, Full],
            "more is required",
        ),
        ("required field removed", contract("1.1", &[], &["note"]), &[Forward, Full], "id is required"),
        ("minor version went back", contract("1.0", &[], &["id!"]), &all, "the schema changed"),
        ("major without upcaster", contract("2.0", &[], &["key!"]), &[Backward, Full], "add an upcaster"),
        ("major with upcaster", contract("2.0", &["1.0"], &["key!"]), &[], ""),
    ];
    for (name, now, refused_by, text) in cases {
        for mode in all {
            let found = problems(&[v1()], std::slice::from_ref(&now), mode);
            assert_eq!(!found.is_empty(), refused_by.contains(&mode), "{name}, {mode}: {found:?}");
            assert!(found.iter().all(|found| found.contains(text) && found.starts_with(PLACED)), "{found:?}");
        }
    }
}

#[test]
fn a_version_that_was_deployed_stays() {
    let baseline = [contract("1.0", &[], &["id!"]), contract("1.1", &[], &["id!", "note"])];
    let back = problems(&baseline, &[contract("1.0", &[], &["id!"])], Compatibility::Backward);
    assert_eq!(back.len(), 1, "{back:?}");
    assert!(back[0].contains("1.1 to 1.0: the version went back"), "{back:?}");
    let gone = problems(&baseline, &[], Compatibility::Backward);
    assert_eq!(gone.len(), 2, "each version of it: {gone:?}");
    assert!(gone[0].contains("no struct of this type is left"), "{gone:?}");
}

#[test]
fn every_minor_version_of_the_baseline_must_be_read() {
    // 1.1 made the field required, when nothing was checked; 1.2 does not help those who read 1.0.
    let baseline = [contract("1.0", &[], &["id!", "note"]), contract("1.1", &[], &["id!", "note!"])];
    let found =
        problems(&baseline, &[contract("1.2", &[], &["id!", "note!", "more"])], Compatibility::Backward);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("1.0 to 1.2") && found[0].contains("note is required"), "{found:?}");
}

#[test]
fn another_topic_is_a_problem() {
    let mut moved = contract("1.0", &[], &["id!"]);
    moved.topic = "shop.orders".to_owned();
    let found = problems(&[contract("1.0", &[], &["id!"])], &[moved], Compatibility::Backward);
    assert!(found[0].contains("the topic was orders.order and is shop.orders"), "{found:?}");
}

#[test]
fn a_struct_per_major_version_needs_no_upcaster() {
    let baseline = [contract("1.0", &[], &["id!"]), contract("2.0", &[], &["key!"])];
    let now = [contract("2.1", &[], &["key!", "more"]), contract("1.0", &[], &["id!"])];
    assert_eq!(problems(&baseline, &now, Compatibility::Full), [""; 0]);
}

#[test]
fn a_baseline_grows_by_new_versions_only() {
    let mut baseline = contracts(&[contract("1.0", &[], &["id!"])]);
    let now = contracts(&[contract("2.0", &["1.0"], &["key!"]), contract("1.0", &[], &["other!"])]);
    assert_eq!(baseline.merge(&now).expect("it fits"), 1);
    assert_eq!(baseline.merge(&now).expect("it fits"), 0);
    let kept: Vec<(&str, bool)> = baseline
        .events()
        .iter()
        .map(|event| (event.version.as_str(), event.schema["properties"]["id"].is_object()))
        .collect();
    assert_eq!(kept, [("1.0", true), ("2.0", false)], "a version that is there stays as it is");
}

#[test]
fn a_document_is_one_text_and_comes_back() {
    let (one, two) = (contract("10.0", &[], &["a!"]), contract("9.0", &["8.0"], &["b"]));
    let written = contracts(&[one.clone(), two.clone()]).to_text();
    assert_eq!(written, contracts(&[two, one]).to_text(), "in any order");
    let read = Contracts::read(&written).expect("its own text");
    assert_eq!(read.to_text(), written);
    assert_eq!(read.events()[0].version, "9.0", "versions are numbers");
}

#[test]
fn what_is_no_document_of_contracts_is_refused() {
    let text = |events: Value| json!({"format": 1, "events": events}).to_string();
    let event = |version: &str, schema: Value| json!({"eventType": PLACED, "topic": "t", "version": version, "schema": schema});
    for (text, reason) in [
        ("{".to_owned(), "no document of contracts"),
        ("[]".to_owned(), "no document of contracts"),
        (json!({"format": 2, "events": []}).to_string(), "of format 2"),
        (text(json!([event("one", json!({}))])), "not MAJOR.MINOR"),
        (text(json!([event("1.0", json!(7))])), "no shape"),
        (text(json!([event("1.0", json!({})), event("1.0", json!({}))])), "two contracts for one version"),
    ] {
        let error = Contracts::read(&text).expect_err(reason);
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        assert!(error.to_string().contains(reason), "{error}");
    }
}
