//! A payload and the id of its schema.

use bytes::{BufMut, Bytes, BytesMut};
use messagekit::Message;
use messagekit::headers::UNREADABLE;

use crate::SchemaId;

/// The first byte of a framed payload; JSON never begins with it.
const MAGIC: u8 = 0;

/// The bytes before the data.
const FRAME: usize = 5;

/// Returns the id of the schema of a message, and its data; `None` if the payload is not framed, and for a message that the
/// transport could not read: it is set aside with its bytes.
pub(crate) fn split(message: &Message) -> Option<(SchemaId, Bytes)> {
    match message.headers.get(UNREADABLE) {
        Some(_) => None,
        None => split_payload(&message.payload),
    }
}

fn split_payload(payload: &Bytes) -> Option<(SchemaId, Bytes)> {
    let (&MAGIC, rest) = payload.split_first()? else { return None };
    let id = rest.first_chunk::<4>()?;
    Some((SchemaId(u32::from_be_bytes(*id)), payload.slice(FRAME..)))
}

/// Returns data as a payload.
pub(crate) fn join(id: SchemaId, data: &[u8]) -> Bytes {
    let mut payload = BytesMut::with_capacity(FRAME + data.len());
    payload.put_u8(MAGIC);
    payload.put_u32(id.0);
    payload.put_slice(data);
    payload.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_framed_by_a_zero_and_four_bytes() {
        let payload = join(SchemaId(258), b"data");
        assert_eq!(&payload[..], b"\0\0\0\x01\x02data");
        assert_eq!(split_payload(&payload), Some((SchemaId(258), Bytes::from_static(b"data"))));
        assert_eq!(split_payload(&Bytes::from_static(b"\0\0\0\0\x07")), Some((SchemaId(7), Bytes::new())));
        for other in [&b""[..], b"{}", b"\0", b"\0\0\0\x01", b"\x01\0\0\0\x01data"] {
            assert_eq!(split_payload(&Bytes::from_static(other)), None, "{other:?}");
        }
    }
}
