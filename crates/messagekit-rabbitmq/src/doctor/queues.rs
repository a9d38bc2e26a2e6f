//! The judgement of queues: what they lose, and who reads them.

use messagekit::operations::{Check, Diagnosis, Repair};

use super::broker::{Binding, Broker, Found};
use super::checks as on;
use super::purpose::{Purpose, purpose};
use super::repairs::Repairs;
use crate::topology::queue::{Danger, dangers};

pub(super) fn look(broker: &Broker, repairs: &Repairs, diagnosis: &mut Diagnosis) {
    for queue in &broker.queues {
        faults(broker, queue, repairs, diagnosis);
        unread(broker, queue, diagnosis);
    }
}

/// A queue cannot be changed, so every fault has the same repair.
fn faults(broker: &Broker, queue: &Found, repairs: &Repairs, diagnosis: &mut Diagnosis) {
    let name = &queue.name;
    let mut said: Vec<(&'static Check, Vec<String>)> = Vec::new();
    for danger in dangers(&queue.declared()) {
        let check = match &danger {
            Danger::NotQuorum(_) => &on::NOT_QUORUM,
            Danger::LosesDeadLetters(..) => &on::LOSES_DEAD_LETTERS,
            Danger::NoDeadLetterExchange => &on::NO_DEAD_LETTERS,
            Danger::NoDeliveryLimit | Danger::LowDeliveryLimit(_) => &on::DELIVERY_LIMIT_LOW,
        };
        match said.iter_mut().find(|(known, _)| *known == check) {
            Some((_, texts)) => texts.push(danger.to_string()),
            None => said.push((check, vec![danger.to_string()])),
        }
    }
    if said.is_empty() {
        return;
    }
    let bindings = broker.bindings.iter().filter(|binding| binding.is_to_queue && binding.queue == *name);
    let bindings: Vec<&Binding> = bindings.collect();
    let first = said[0].0.name;
    for (check, texts) in said {
        let text = format!(
            "of queue {name}, {}: consumers look at the declaration, not at a policy",
            texts.join(", and ")
        );
        // Printed once, because each run deletes the queue.
        let repair = match check.name == first {
            true => repairs.anew(queue, &bindings, purpose(broker, queue)),
            false => vec![Repair::Manual(format!("the repair of {first} of queue {name} mends this too"))],
        };
        diagnosis.found(check, name, text, repair);
    }
}

fn unread(broker: &Broker, queue: &Found, diagnosis: &mut Diagnosis) {
    let Found { name, consumers, messages, .. } = queue;
    if *consumers > 0 || *messages == 0 {
        return;
    }
    let repair = match purpose(broker, queue) {
        Purpose::DeadLetters => format!(
            "let `messagekit bookkeeper` read {name}: name it under [bookkeeper] in its configuration"
        ),
        Purpose::Messages | Purpose::Both => format!(
            "start the program that reads {name}; if none does any more, find out who needs its messages"
        ),
    };
    let text = format!("queue {name} has {messages} messages and no consumer");
    diagnosis.found(&on::WITHOUT_CONSUMER, name, text, [Repair::Manual(repair)]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn queue(name: &str, arguments: serde_json::Value) -> Found {
        Found { name: name.to_owned(), kind: "quorum".to_owned(), arguments, consumers: 1, messages: 3 }
    }

    fn good(name: &str, key: &str) -> Found {
        let arguments = json!({
            "x-delivery-limit": 1000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": key,
            "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
        });
        queue(name, arguments)
    }

    fn judged(queues: Vec<Found>) -> Diagnosis {
        let mut diagnosis = Diagnosis::default();
        let broker = Broker { queues, ..Broker::default() };
        look(&broker, &Repairs::new("http://broker:15672".to_owned(), "/"), &mut diagnosis);
        diagnosis
    }

    #[test]
    fn a_queue_that_loses_nothing_is_not_found() {
        let dead = queue("bills.dead", json!({ "x-delivery-limit": 1_000_000_000 }));
        assert_eq!(judged(vec![good("bills", "bills.dead"), dead]).findings, []);
    }

    #[test]
    fn a_classic_queue_for_dead_letters_becomes_one_without_a_limit() {
        let mut dead = queue("bills.dead", json!({ "x-max-priority": 3 }));
        dead.kind = "classic".to_owned();
        let diagnosis = judged(vec![good("bills", "bills.dead"), dead]);
        assert_eq!(diagnosis.findings.len(), 1, "{diagnosis:?}");
        let found = &diagnosis.findings[0];
        assert_eq!(found.check.name, "queue-not-quorum");
        let declare = found.repair.last().unwrap().text();
        assert!(declare.contains(r#""x-delivery-limit":1000000000"#), "{declare}");
        assert!(!declare.contains("priority") && declare.contains("/api/queues/%2F/bills.dead"), "{declare}");
        assert!(found.repair[0].text().contains("x-max-priority"), "{found:?}");
        let delete = found.repair[1].text();
        assert!(delete.ends_with("/bills.dead?if-empty=true&if-unused=true'"), "{delete}");
    }

    #[test]
    fn a_policy_is_no_declaration() {
        let mut policy = queue("bills", json!({ "policy:delivery-limit": 1000, "x-max-length": 7 }));
        policy.messages = 0;
        let diagnosis = judged(vec![policy]);
        let names: Vec<&str> = diagnosis.findings.iter().map(|found| found.check.name).collect();
        assert_eq!(
            names,
            ["queue-loses-dead-letters", "queue-without-dead-letters", "queue-delivery-limit-low"]
        );
        let declare = diagnosis.findings[0].repair.last().unwrap().text();
        assert!(declare.contains(r#""x-max-length":7"#) && !declare.contains("policy"), "{declare}");
        for other in &diagnosis.findings[1..] {
            assert_eq!(other.repair.len(), 1, "the queue is deleted once: {other:?}");
            assert!(other.repair[0].text().contains("queue-loses-dead-letters of queue bills"), "{other:?}");
        }
    }

    #[test]
    fn a_queue_keeps_its_arguments_and_the_keys_of_its_dead_letters() {
        let mut bills = good("bills", "bills.dead");
        let arguments = bills.arguments.as_object_mut().unwrap();
        arguments.remove("x-dead-letter-routing-key");
        arguments.insert("x-dead-letter-exchange".to_owned(), json!("dead"));
        arguments.insert("x-delivery-limit".to_owned(), json!(5));
        arguments.insert("x-team".to_owned(), json!({ "name": "billing" }));
        let mut bindings = vec![bound("orders", "bills")];
        bindings[0].arguments = json!({ "x-match": "all" });
        let broker = Broker { queues: vec![bills], bindings, ..Broker::default() };
        let mut diagnosis = Diagnosis::default();
        look(&broker, &Repairs::new("http://broker:15672".to_owned(), "/"), &mut diagnosis);
        let repair = &diagnosis.findings[0].repair;
        let (declare, bind) = (repair[2].text(), repair[3].text());
        assert!(declare.contains(r#""x-team":{"name":"billing"}"#), "{declare}");
        assert!(declare.contains(r#""x-delivery-limit":1000"#), "{declare}");
        assert!(declare.contains(r#""x-dead-letter-exchange":"dead""#), "{declare}");
        assert!(!declare.contains("x-dead-letter-routing-key"), "{declare}");
        assert!(bind.contains(r#""arguments":{"x-match":"all"}"#), "{bind}");
    }

    fn bound(exchange: &str, queue: &str) -> Binding {
        Binding {
            exchange: exchange.to_owned(),
            queue: queue.to_owned(),
            routing_key: "orders.#".to_owned(),
            arguments: json!({}),
            is_to_queue: true,
        }
    }

    #[test]
    fn a_queue_for_messages_and_dead_letters_is_left_to_a_person() {
        let dead = queue("bills.dead", json!({}));
        let broker = Broker {
            queues: vec![good("bills", "bills.dead"), dead],
            bindings: vec![bound("orders", "bills.dead")],
            ..Broker::default()
        };
        let mut diagnosis = Diagnosis::default();
        look(&broker, &Repairs::new("http://broker:15672".to_owned(), "/"), &mut diagnosis);
        let steps = diagnosis.findings.iter().flat_map(|found| &found.repair);
        let kinds: Vec<&str> = steps.map(Repair::kind).collect();
        assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == "manual"), "{diagnosis:?}");
    }

    #[test]
    fn a_queue_of_dead_letters_is_read_by_the_bookkeeper() {
        let mut dead = queue("bills.dead", json!({ "x-delivery-limit": 1_000_000_000 }));
        dead.consumers = 0;
        let diagnosis = judged(vec![good("bills", "bills.dead"), dead]);
        assert_eq!(diagnosis.findings[0].check.name, "queue-without-consumer");
        assert!(diagnosis.findings[0].repair[0].text().contains("messagekit bookkeeper"));
    }
}
