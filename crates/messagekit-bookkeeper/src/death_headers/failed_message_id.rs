//! Ids under which dead letters are recorded.

use messagekit::{Message, MessageId, headers};
use sha2::{Digest, Sha256};

/// Headers that dead-lettering or a redelivery changes.
const CHANGED: [&str; 6] = [
    headers::X_DEATH,
    headers::RETURNS,
    headers::DEAD_KIND,
    headers::DEAD_ERROR,
    headers::DEAD_BY,
    headers::RETRY_TOPIC,
];

/// Creates an id for a message without id and position: equal bytes give equal ids.
pub(super) fn of_bytes(name: &str, message: &Message) -> MessageId {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    add(name.as_bytes());
    add(message.key.as_deref().unwrap_or_default());
    add(&message.payload);
    for (name, value) in message.headers.iter().filter(|(name, _)| !CHANGED.contains(name)) {
        add(name.as_bytes());
        add(value);
    }
    MessageId::from_stored(&format!("at:{}", hex(hash)))
}

/// Creates a separate id for a message that was dead-lettered again after `returns` redeliveries.
pub(super) fn after(id: MessageId, returns: u32) -> MessageId {
    if returns == 0 {
        return id;
    }
    let text = format!("{id}+{returns}");
    if text.len() <= MessageId::MAX_BYTES {
        return MessageId::from_stored(&text);
    }
    MessageId::from_stored(&format!("at:{}+{returns}", hex(Sha256::new_with_prefix(id.as_str()))))
}

/// Creates the id for the claim of a recorder; a scope may be as long as an id.
pub(super) fn of_claim(scope: &str, id: &MessageId) -> MessageId {
    let hash = Sha256::new_with_prefix((scope.len() as u64).to_be_bytes());
    let hash = hash.chain_update(scope).chain_update(id.as_str());
    MessageId::from_stored(&format!("at:{}", hex(hash)))
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_redelivery_gets_its_own_failed_message_id_of_any_length() {
        let id: MessageId = "x".repeat(200).parse().expect("an id");
        assert_eq!(after(id.clone(), 0), id);
        assert_eq!(after("m-1".parse().expect("an id"), 2).as_str(), "m-1+2");
        assert_ne!(after(id.clone(), 1), after(id.clone(), 2));
        assert!(after(id, 999_999).as_str().len() <= MessageId::MAX_BYTES);
    }

    #[test]
    fn death_headers_do_not_change_the_id_of_a_message_without_id() {
        let message = Message::new("dead", "payload").with_key("k").with_header("tenant", "north");
        let name = of_bytes("billing", &message);
        for header in CHANGED {
            assert_eq!(of_bytes("billing", &message.clone().with_header(header, "2")), name, "{header}");
        }
        let other = [
            Message { payload: "other".into(), ..message.clone() },
            message.clone().with_key("l"),
            message.clone().with_header("tenant", "south"),
        ];
        for other in other {
            assert_ne!(of_bytes("billing", &other), name);
        }
        assert_ne!(of_bytes("shipping", &message), name);
    }

    #[test]
    fn a_claim_does_not_mix_up_where_the_scope_ends() {
        let id = |text: &str| text.parse::<MessageId>().expect("an id");
        assert_ne!(of_claim("queue:a", &id("bc")), of_claim("queue:ab", &id("c")));
    }
}
