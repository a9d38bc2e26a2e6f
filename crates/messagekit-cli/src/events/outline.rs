//! The document of an event as lines for people.

use serde_json::Value;

use crate::document::{list, text};

/// Returns the lines of an event.
pub(super) fn lines(document: &Value) -> Vec<String> {
    let mut lines = vec![format!("event {}", text(&document["event_id"]))];
    for known in list(document, "databases") {
        lines.push(format!("\nin database {}", text(&known["database"])));
        record(known, &mut lines);
    }
    let causes: Vec<&Value> = list(document, "causes").collect();
    if !causes.is_empty() {
        lines.push("\ncaused by, the nearest first".to_owned());
    }
    for (depth, cause) in causes.into_iter().enumerate() {
        let is_kept = !cause["event"].is_null();
        let what = if is_kept {
            head(&cause["event"])
        } else {
            format!("{}, which no database keeps", text(&cause["event_id"]))
        };
        lines.push(format!("{}{what}", "  ".repeat(depth + 1)));
    }
    if list(document, "effects").next().is_some() {
        lines.push("\nled to".to_owned());
        effects(document, 1, &mut lines);
    }
    if document["is_cut"] == true {
        lines.push("\nthere may be more: 10 steps each way and 200 events are shown".to_owned());
    }
    for one in list(document, "unreachable") {
        lines.push(format!(
            "\ndatabase {} {}: it may know more",
            text(&one["database"]),
            text(&one["error"])
        ));
    }
    lines
}

fn record(known: &Value, lines: &mut Vec<String>) {
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<14} {value}"));
    let event = &known["event"];
    if !event.is_null() {
        line("written", format!("{}, {} bytes", text(&event["created_at"]), text(&event["payload_bytes"])));
        line("topic", place(event));
        line("type", text(&event["event_type"]));
        line("key", text(&event["key"]));
        line("publication", publication(event, &known["publisher"]));
        for (name, field) in [
            ("trace", "trace_id"),
            ("correlation", "correlation_id"),
            ("caused by", "causation_id"),
            ("replay of", "replay_of"),
        ] {
            if !event[field].is_null() {
                line(name, text(&event[field]));
            }
        }
        for header in list(event, "headers") {
            line("header", format!("{}: {}", text(&header["name"]), text(&header["value"])));
        }
    }
    for outcome in list(known, "outcomes") {
        let attempts = if outcome["attempts"].is_null() {
            String::new()
        } else {
            format!(", {} failed runs", text(&outcome["attempts"]))
        };
        let when = format!("{} at {}{attempts}", text(&outcome["outcome"]), text(&outcome["processed_at"]));
        line("consumer", format!("{}: {when}", text(&outcome["consumer"])));
    }
    for failed in list(known, "failed_messages") {
        let why = format!("{}: {}", text(&failed["kind"]), text(&failed["error"]));
        let state =
            format!("{} of {}, {}", text(&failed["id"]), text(&failed["consumer"]), text(&failed["state"]));
        line("failed message", format!("{state}, {why}"));
    }
    for failure in list(known, "failures") {
        line("failed at", format!("{}: {}", text(&failure["consumer"]), text(&failure["reason"])));
    }
    for again in list(known, "republications") {
        line("republished", head(again));
    }
    for job in list(known, "replays") {
        let progress = format!("{} of {} events", text(&job["published"]), text(&job["events"]));
        line("replay", format!("{}, {}, {progress}", text(&job["id"]), text(&job["state"])));
    }
    for action in list(known, "actions") {
        let who = format!("{} through {}", text(&action["operator"]), text(&action["through"]));
        line("action", format!("{} by {who} at {}", text(&action["action"]), text(&action["at"])));
    }
}

fn place(event: &Value) -> String {
    if event["offset"].is_null() {
        return text(&event["topic"]);
    }
    format!("{}/{}/{}", text(&event["topic"]), text(&event["partition"]), text(&event["offset"]))
}

fn publication(event: &Value, publisher: &Value) -> String {
    let publication = &event["publication"];
    let mut parts = vec![text(&publication["state"])];
    if !publication["at"].is_null() {
        parts.push(format!("since {}", text(&publication["at"])).replace(
            "since",
            match publication["state"].as_str() {
                Some("delayed") => "until",
                _ => "since",
            },
        ));
    }
    if publication["attempts"] != 0 {
        parts.push(format!("refused {} times", text(&publication["attempts"])));
    }
    if !publication["error"].is_null() {
        parts.push(text(&publication["error"]));
    }
    match (publisher["mode"].as_str(), publisher["has_relay"].as_bool()) {
        (Some("relay"), Some(false)) => parts.push("no relay lives".to_owned()),
        (Some("debezium"), _) if !publisher["confirmed_at"].is_null() => {
            parts.push(format!("the slot is at {}", text(&publisher["confirmed_at"])));
        }
        (None, _) => parts.push("nothing publishes this outbox".to_owned()),
        _ => {}
    }
    if event["copies"] != 0 {
        parts.push(format!("republished {} times", text(&event["copies"])));
    }
    parts.join(", ")
}

/// One line of an event among others.
fn head(event: &Value) -> String {
    let what = format!("{} {}", text(&event["event_id"]), text(&event["event_type"]));
    format!(
        "{what}, key {}, {} in {}",
        text(&event["key"]),
        text(&event["created_at"]),
        text(&event["database"])
    )
}

fn effects(of: &Value, depth: usize, lines: &mut Vec<String>) {
    for effect in list(of, "effects") {
        lines.push(format!("{}{}", "  ".repeat(depth), head(&effect["event"])));
        effects(effect, depth + 1, lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tree_is_indented_by_steps_and_names_what_is_lost() {
        let event = |id: &str| json!({"event_id": id, "event_type": "a.b", "key": {"text": "k"}, "created_at": "then", "database": "shop"});
        let document = json!({
            "event_id": "e-2", "databases": [], "is_cut": true,
            "causes": [{"event_id": "e-1", "event": event("e-1")}, {"event_id": "e-0", "event": null}],
            "effects": [{"event": event("e-3"), "effects": [{"event": event("e-4"), "effects": []}]}],
            "unreachable": [{"database": "stock", "error": "does not answer"}],
        });
        let lines = lines(&document);
        assert!(lines.contains(&"    e-0, which no database keeps".to_owned()), "{lines:#?}");
        assert!(lines.contains(&"    e-4 a.b, key k, then in shop".to_owned()), "{lines:#?}");
        assert!(lines.last().unwrap().contains("database stock does not answer"), "{lines:#?}");
    }
}
