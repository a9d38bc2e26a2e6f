//! Tests the frame reader with generated and collected frames; the client's own parser is the oracle.
//!
//! `MESSAGEKIT_FULL=1` generates a million frames; `MESSAGEKIT_SEED` sets the seed.

use fastrand::Rng;
use lapin::protocol::{basic, parse_class};
use lapin::types::{AMQPValue, FieldTable};

use super::properties::{Fault, HOLDER, MAX_DEPTH, check};
use super::reader::FrameReader;
use super::unreadable::{MAX_HELD, Unreadable};

/// An entry of a table.
pub(super) fn header(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[u8::try_from(name.len()).unwrap()][..], name, value].concat()
}

/// Bytes after their four-byte length.
fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// Nested arrays.
pub(super) fn nested_arrays(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |inner, _| [b"A", &long(&inner)[..]].concat())
}

/// Properties with these parts, by the number of their flag; number 2 holds the entries of the headers.
pub(super) fn properties(parts: &[(u16, &[u8])]) -> Vec<u8> {
    let mut parts: Vec<(u16, Vec<u8>)> = parts
        .iter()
        .map(|(flag, part)| (*flag, if *flag == 2 { long(part) } else { part.to_vec() }))
        .collect();
    parts.sort();
    let flags = parts.iter().fold(0_u16, |flags, (flag, _)| flags | 0x8000 >> flag);
    parts.iter().fold(flags.to_be_bytes().to_vec(), |bytes, (_, part)| [bytes, part.clone()].concat())
}

pub(super) fn frame(kind: u8, contents: &[u8]) -> Vec<u8> {
    [&[kind, 0, 7][..], &long(contents), &[0xce]].concat()
}

pub(super) fn content_header(properties: &[u8]) -> Vec<u8> {
    frame(2, &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2][..], properties].concat())
}

/// The broker offers frames of 131,072 bytes.
const TUNE: [u8; 20] = [1, 0, 0, 0, 0, 0, 12, 0, 10, 0, 30, 7, 255, 0, 2, 0, 0, 0, 60, 0xce];

/// Reads a stream as the client receives it, split at random positions.
fn read(stream: &[u8], random: &mut Rng) -> Vec<u8> {
    let (mut reader, mut out, mut rest) =
        (FrameReader::new(random.choice([0, 4_096, 9_000]).unwrap()), Vec::new(), stream);
    if random.bool() {
        reader.push(&TUNE, &mut Vec::new());
    }
    while !rest.is_empty() {
        let count = match random.u8(0..4) {
            0 => 1,
            1 => random.usize(1..=8),
            2 => random.usize(1..=200),
            _ => random.usize(1..=100_000),
        };
        let (piece, behind) = rest.split_at(count.min(rest.len()));
        reader.push(piece, &mut out);
        rest = behind;
    }
    out
}

/// Splits a stream into whole frames: kind and contents.
pub(super) fn frames(mut stream: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    while !stream.is_empty() {
        let length = u32::from_be_bytes(stream[3..7].try_into().unwrap()) as usize;
        assert_eq!((&stream[1..3], stream[7 + length]), (&[0, 7][..], 0xce), "channel and end");
        found.push((stream[0], &stream[7..7 + length]));
        stream = &stream[8 + length..];
    }
    found
}

/// The nesting depth of a table, computed recursively.
fn depth(table: &FieldTable) -> usize {
    fn of(value: &AMQPValue) -> usize {
        match value {
            AMQPValue::FieldTable(table) => depth(table),
            AMQPValue::FieldArray(array) => 1 + array.as_slice().iter().map(of).max().unwrap_or(0),
            _ => 0,
        }
    }
    1 + table.into_iter().map(|(_, value)| of(value)).max().unwrap_or(0)
}

/// Whether the client reads properties. A table may repeat a name, and the value that is then lost counts for the
/// depth too.
pub(super) fn is_readable(properties: &[u8]) -> Option<bool> {
    match basic::parse_properties(properties) {
        Ok(([], found)) => Some(found.headers().as_ref().is_none_or(|headers| depth(headers) <= MAX_DEPTH)),
        _ => None,
    }
}

fn random_text(random: &mut Rng, most: usize) -> Vec<u8> {
    let mut text: Vec<u8> = (0..random.usize(0..=most)).map(|_| random.u8(b'a'..=b'z')).collect();
    if random.u8(0..12) == 0 {
        text.push(random.u8(..));
    }
    [&[text.len() as u8][..], &text].concat()
}

fn random_value(random: &mut Rng, budget: usize) -> Vec<u8> {
    let kind = if budget == 0 { 0 } else { random.u8(0..8) };
    match kind {
        6 => {
            [
                b"A",
                &long(
                    &(0..random.u8(0..4)).flat_map(|_| random_value(random, budget - 1)).collect::<Vec<_>>(),
                )[..],
            ]
            .concat()
        }
        7 => [b"F", &long(&random_table(random, budget - 1))[..]].concat(),
        _ => {
            let (kind, width) = *random
                .choice(&[
                    (b't', 1),
                    (b'b', 1),
                    (b'B', 1),
                    (b's', 2),
                    (b'u', 2),
                    (b'U', 2),
                    (b'I', 4),
                    (b'i', 4),
                    (b'f', 4),
                    (b'l', 8),
                    (b'L', 8),
                    (b'd', 8),
                    (b'T', 8),
                    (b'D', 5),
                    (b'V', 0),
                    (b'S', 99),
                    (b'x', 99),
                    (b'z', 3),
                ])
                .unwrap();
            let count = if width == 99 { random.usize(0..20) } else { width };
            let bytes: Vec<u8> = (0..count).map(|_| random.u8(..)).collect();
            [&[kind][..], &if width == 99 { long(&bytes) } else { bytes }].concat()
        }
    }
}

fn random_table(random: &mut Rng, budget: usize) -> Vec<u8> {
    let mut table = Vec::new();
    for _ in 0..random.u8(0..4) {
        table.extend(random_text(random, 6));
        table.extend(random_value(random, budget));
    }
    if random.u8(0..40) == 0 {
        let depth = random.usize(MAX_DEPTH - 4..MAX_DEPTH + 4);
        table.extend(header(b"deep", &nested_arrays(depth)));
    }
    table
}

fn random_properties(random: &mut Rng) -> Vec<u8> {
    let mut parts = Vec::new();
    for flag in 0..14 {
        if random.u8(0..3) == 0 {
            parts.push((
                flag,
                match flag {
                    2 => random_table(random, 4),
                    3 | 4 => vec![random.u8(..)],
                    9 => (0..8).map(|_| random.u8(..)).collect(),
                    _ => random_text(random, 12),
                },
            ));
        }
    }
    let parts: Vec<(u16, &[u8])> = parts.iter().map(|(flag, part)| (*flag, &part[..])).collect();
    properties(&parts)
}

/// Changes a few bytes, like a malicious publisher.
fn mutate(random: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..random.u8(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.usize(0..bytes.len());
        match random.u8(0..4) {
            0 => bytes[at] = random.u8(..),
            1 => bytes.truncate(at),
            2 => bytes.insert(at, random.u8(..)),
            _ => drop(bytes.remove(at)),
        }
    }
}

fn random_delivery(random: &mut Rng) -> Vec<u8> {
    let texts: Vec<Vec<u8>> = (0..3).map(|_| random_text(random, 20)).collect();
    let contents = match random.u8(0..4) {
        0 => [&[0, 60, 0, 60][..], &texts[0], &[0; 9], &texts[1], &texts[2]].concat(),
        1 => [&[0, 60, 0, 50, 1, 56][..], &texts[0], &texts[1], &texts[2]].concat(),
        2 => [&[0, 60, 0, 71][..], &[0; 9], &texts[0], &texts[1], &[0; 4]].concat(),
        _ => vec![0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0],
    };
    frame(1, &contents)
}

fn random_frame(random: &mut Rng) -> Vec<u8> {
    match random.u8(0..8) {
        0 => frame(8, b""),
        1 => frame(3, &vec![0xce; random.usize(0..2_000)]),
        2 => random_delivery(random),
        3 => {
            let mut properties = random_properties(random);
            properties.resize(random.usize(0..400_000), 0xff);
            if random.u8(0..20) == 0 { content_header(&properties) } else { frame(8, b"") }
        }
        _ => {
            let mut properties = random_properties(random);
            if random.bool() {
                mutate(random, &mut properties);
            }
            content_header(&properties)
        }
    }
}

/// Checks the result for one frame.
fn judge((kind, sent): (u8, &[u8]), (same_kind, got): (u8, &[u8])) {
    assert_eq!(kind, same_kind);
    match kind {
        1 => {
            let (rest, _) = parse_class(got).unwrap_or_else(|error| panic!("{got:?}: {error}"));
            assert!(rest.is_empty() && got.len() == sent.len());
            assert!(got == sent || parse_class(sent).is_err(), "{sent:?} was changed for nothing");
        }
        2 => {
            assert_eq!(got[..12], sent[..12], "class and size");
            let (sent, got) = (&sent[12..], &got[12..]);
            assert_eq!(is_readable(got), Some(true), "the client cannot read {got:?}");
            if sent == got {
                return;
            }
            // A repeated name may hide the depth from the oracle, but never from the reader.
            assert!(
                is_readable(sent) != Some(true) || check(sent) == Err(Fault::TooDeep) || sent.len() > 4_000,
                "{sent:?} was replaced for nothing"
            );
            let held = basic::parse_properties(got).unwrap().1;
            let unreadable = Unreadable::held_in(&held).expect("the bytes are held");
            let kept = unreadable.without(&["no such header"]);
            assert!(
                sent.starts_with(&kept) && (kept.len() == sent.len() || kept.len() > 3_000),
                "{} of {}",
                kept.len(),
                sent.len()
            );
            assert!(got.len() <= 131_072 - 20 && kept.len() <= MAX_HELD);
            // Neither may panic, whatever the bytes are.
            let _ = (unreadable.reason(), unreadable.readable());
        }
        _ => assert_eq!(sent, got),
    }
}

#[test]
fn whatever_frames_come_the_client_can_read_those_that_it_gets() {
    let full = std::env::var("MESSAGEKIT_FULL").is_ok_and(|full| full == "1");
    let seed = std::env::var("MESSAGEKIT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("MESSAGEKIT_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let (mut generated, mut replaced) = (0, 0);
    while generated < if full { 1_000_000 } else { 50_000 } {
        let sent: Vec<Vec<u8>> = (0..random.usize(1..=12)).map(|_| random_frame(&mut random)).collect();
        let stream = sent.concat();
        let got = read(&stream, &mut random);
        let (sent, got) = (frames(&stream), frames(&got));
        assert_eq!(sent.len(), got.len());
        generated += sent.len();
        replaced += std::iter::zip(&sent, &got).filter(|(sent, got)| sent != got).count();
        std::iter::zip(sent, got).for_each(|(sent, got)| judge(sent, got));
    }
    println!("{generated} frames, {replaced} of them replaced or mended");
    assert!(replaced * 20 > generated, "only {replaced} of {generated} were hostile");
}

#[test]
fn bytes_that_are_no_frames_pass_to_the_client_without_a_panic() {
    let mut random = Rng::with_seed(7);
    for _ in 0..2_000 {
        let mut stream: Vec<u8> = (0..6).flat_map(|_| random_frame(&mut random)).collect();
        mutate(&mut random, &mut stream);
        let got = read(&stream, &mut random);
        assert!(got.len() <= stream.len() + 8 * 5_000);
    }
    let refusal = b"AMQP\0\0\x09\x01";
    assert_eq!(read(refusal, &mut random), refusal, "another version of the protocol");
}

#[test]
fn a_header_over_the_frame_limit_is_rewritten_to_fit_a_frame() {
    // The smallest limit, before tuning, and the broker's offer.
    for (tuned, largest) in [(false, 4_096), (true, 131_072)] {
        for (size, fits) in [(largest, true), (largest + 1, false), (largest + 8, false)] {
            let around =
                content_header(&properties(&[(2, &header(b"a", &[b"S", &long(b"")[..]].concat()))])).len();
            let value = [b"S", &long(&vec![b'x'; size - around])[..]].concat();
            let sent = content_header(&properties(&[(2, &header(b"a", &value))]));
            assert_eq!(sent.len(), size);
            let (mut reader, mut got) = (FrameReader::new(0), Vec::new());
            if tuned {
                reader.push(&TUNE, &mut Vec::new());
            }
            reader.push(&sent, &mut got);
            assert_eq!(got == sent, fits, "{size} of {largest}");
            assert!(got.len() <= largest);
            assert_eq!(is_readable(&frames(&got)[0].1[12..]), Some(true));
        }
    }
}

/// RabbitMQ's record of a dead letter: a table in an array in the headers.
fn account_of_a_death() -> Vec<u8> {
    let text = |text: &str| [b"S", &long(text.as_bytes())[..]].concat();
    let death = [
        header(b"count", b"l\0\0\0\0\0\0\0\x01"),
        header(b"reason", &text("delivery_limit")),
        header(b"queue", &text("shipping.bills")),
        header(b"time", b"T\0\0\0\0\x69\x21\0\0"),
        header(b"exchange", &text("events")),
        header(b"routing-keys", &[b"A", &long(&text("billing.bill.issued"))[..]].concat()),
    ];
    let table = [b"F", &long(&death.concat())[..]].concat();
    let headers = [
        header(b"x-death", &[b"A", &long(&table)[..]].concat()),
        header(b"x-delivery-count", b"l\0\0\0\0\0\0\0\x02"),
    ];
    properties(&[(2, &headers.concat()), (3, &[2]), (8, b"\x03m-1")])
}

/// Properties seen in practice, each with its fault.
fn corpus() -> Vec<(&'static str, Vec<u8>, Option<Fault>)> {
    let text = b"S\0\0\0\x01x";
    let holder = [b"F", &long(&header(HOLDER.as_bytes(), b"V"))[..]].concat();
    let tables = |depth| {
        (0..depth).fold(Vec::new(), |inner: Vec<u8>, _| header(b"n", &[b"F", &long(&inner)[..]].concat()))
    };
    vec![
        ("nothing", properties(&[]), None),
        ("an id", properties(&[(8, b"\x03m-1")]), None),
        ("an account of a death", account_of_a_death(), None),
        ("a value that is not UTF-8", properties(&[(2, &header(b"cafe", b"S\0\0\0\x01\xe9"))]), None),
        ("a header name", properties(&[(2, &header(b"caf\xe9", text))]), Some(Fault::HeaderName)),
        (
            "a header name in a table",
            properties(&[(2, &header(b"a", &[b"F", &long(&header(b"\xe9", text))[..]].concat()))]),
            Some(Fault::HeaderName),
        ),
        ("app_id", properties(&[(12, b"\x04caf\xe9")]), Some(Fault::Property("app_id"))),
        ("message_id", properties(&[(8, b"\x04caf\xe9")]), Some(Fault::Property("message_id"))),
        ("arrays as deep as allowed", properties(&[(2, &header(b"a", &nested_arrays(MAX_DEPTH - 1)))]), None),
        (
            "arrays too deep",
            properties(&[(2, &header(b"a", &nested_arrays(MAX_DEPTH)))]),
            Some(Fault::TooDeep),
        ),
        (
            "arrays 20,000 deep",
            properties(&[(2, &header(b"a", &nested_arrays(20_000)))]),
            Some(Fault::TooDeep),
        ),
        ("tables 3,000 deep", properties(&[(2, &tables(3_000))]), Some(Fault::TooDeep)),
        ("an unknown type", properties(&[(2, &header(b"a", b"?"))]), Some(Fault::Malformed)),
        (
            "an array beyond its table",
            properties(&[(2, &header(b"a", b"A\0\0\0\x09"))]),
            Some(Fault::Malformed),
        ),
        ("a table of four billion bytes", b"\x20\0\xff\xff\xff\xff".to_vec(), Some(Fault::Malformed)),
        ("no flags", Vec::new(), Some(Fault::Malformed)),
        ("one byte of flags", vec![0x20], Some(Fault::Malformed)),
        ("bytes behind the end", vec![0, 0, 0], Some(Fault::Malformed)),
        ("a bit that announces more flags, and none", vec![0, 1], None),
        ("more flags", vec![0, 1, 0, 0], Some(Fault::Malformed)),
        ("more flags, announced again and again", [0, 1].repeat(1_000), Some(Fault::Malformed)),
        ("more flags before an id", b"\0\x81\0\0\x03m-1".to_vec(), Some(Fault::Malformed)),
        ("a bit without a meaning", vec![0, 2], None),
        ("the holder in a table", properties(&[(2, &header(b"a", &holder))]), None),
        (
            "the holder beside others",
            properties(&[(2, &[header(b"a", b"V"), header(HOLDER.as_bytes(), b"V")].concat())]),
            Some(Fault::Reserved),
        ),
    ]
}

#[test]
fn what_was_met_is_judged_as_before() {
    let mut random = Rng::with_seed(3);
    for (what, properties, fault) in corpus() {
        assert_eq!(check(&properties).err(), fault, "{what}");
        let stream = content_header(&properties);
        for _ in 0..20 {
            let got = read(&stream, &mut random);
            assert_eq!(got == stream, fault.is_none(), "{what}");
            assert_eq!(is_readable(&frames(&got)[0].1[12..]), Some(true), "{what}");
        }
    }
}

#[test]
fn a_routing_key_that_is_not_text_is_mended_in_its_place() {
    let delivery = |key: &[u8]| {
        frame(
            1,
            &[&[0, 60, 0, 60][..], b"\x03tag", &[0, 0, 0, 0, 0, 0, 0, 9, 0], b"\0", &header(key, b"")]
                .concat(),
        )
    };
    let mut random = Rng::with_seed(5);
    assert_eq!(read(&delivery(b"caf\xe9.\xff"), &mut random), delivery(b"caf?.?"));
    let fine = delivery("café".as_bytes());
    assert_eq!(read(&fine, &mut random), fine);
}
