//! Where dead letters of the queues go.

use messagekit::operations::Diagnosis;
use serde_json::json;

use super::broker::{Broker, Found};
use super::checks::{EXCHANGE_MISSING, UNROUTABLE};
use super::repairs::Repairs;

pub(super) fn look(broker: &Broker, repairs: &Repairs, diagnosis: &mut Diagnosis) {
    for queue in &broker.queues {
        if let Some((exchange, key)) = queue.dead_letters() {
            judge(broker, queue, exchange, key, repairs, diagnosis);
        }
    }
}

fn judge(
    broker: &Broker,
    queue: &Found,
    exchange: &str,
    key: Option<&str>,
    repairs: &Repairs,
    diagnosis: &mut Diagnosis,
) {
    let name = &queue.name;
    // The key of a dead letter is its own where none is set: every binding may match it.
    let wanted = key.unwrap_or("#");
    let target = format!("{name}.dead");
    if exchange.is_empty() {
        let Some(key) = key.filter(|key| !has_queue(broker, key)) else { return };
        let text = format!("dead letters of queue {name} go to the queue {key}, which does not exist");
        diagnosis.found(&UNROUTABLE, name, text, [repairs.dead_letter_queue(key)]);
    } else if !broker.exchanges.iter().any(|known| known == exchange) {
        let text =
            format!("dead letters of queue {name} go to the exchange {exchange}, which does not exist");
        let repair = [
            repairs.exchange(exchange),
            repairs.dead_letter_queue(&target),
            repairs.bind(exchange, &target, wanted, &json!({})),
        ];
        diagnosis.found(&EXCHANGE_MISSING, name, text, repair);
    } else if !broker.bindings.iter().any(|binding| binding.exchange == exchange) {
        let text =
            format!("dead letters of queue {name} go to the exchange {exchange}, which has no binding");
        let repair =
            [repairs.dead_letter_queue(&target), repairs.bind(exchange, &target, wanted, &json!({}))];
        diagnosis.found(&UNROUTABLE, name, text, repair);
    }
}

fn has_queue(broker: &Broker, name: &str) -> bool {
    broker.queues.iter().any(|queue| queue.name == name)
        // A queue that is not examined, such as a stream, is bound to the default exchange too.
        || broker.bindings.iter().any(|binding| binding.exchange.is_empty() && binding.queue == name)
}
