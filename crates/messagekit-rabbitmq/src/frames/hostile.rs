//! Tests with frames that no broker should send, and with frames that contain hostile texts of publishers; one kind
//! per test.

use super::fuzz::{content_header, frame, frames, header, is_readable, nested_arrays, properties};
use super::properties::MAX_DEPTH;
use super::reader::FrameReader;

/// Properties that the client cannot read.
fn bad() -> Vec<u8> {
    properties(&[(12, b"\x01\xff")])
}

/// Reads a stream whose segments contain one byte each.
fn read(stream: &[u8]) -> Vec<u8> {
    let (mut reader, mut out) = (FrameReader::new(0), Vec::new());
    stream.iter().for_each(|byte| reader.push(&[*byte], &mut out));
    out
}

#[test]
fn odd_heartbeats_and_unopened_channels_hide_no_later_frames() {
    let never_opened = [&[3, 0xff, 0xff][..], &frame(3, b"body")[3..]].concat();
    for before in
        [frame(8, b"no contents belong here"), frame(8, &[0xce; 3_000]), never_opened, frame(3, b"")]
    {
        let got = read(&[&before[..], &content_header(&bad())].concat());
        let held = got.strip_prefix(&before[..]).expect("passed on as it is");
        assert_eq!(is_readable(&frames(held)[0].1[12..]), Some(true));
    }
}

#[test]
fn an_unreadable_empty_message_leaves_its_neighbours_unchanged() {
    let without_body =
        |properties: &[u8]| frame(2, &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], properties].concat());
    let good = without_body(&properties(&[(8, b"\x03m-1")]));
    let got = read(&[&good[..], &without_body(&bad()), &good].concat());
    let [before, held, behind] = frames(&got)[..] else { panic!("three frames: {got:?}") };
    assert_eq!([before, behind].map(|(_, contents)| contents), [&good[7..good.len() - 1]; 2]);
    assert_eq!(
        (&held.1[..12], is_readable(&held.1[12..])),
        (&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], Some(true))
    );
}

#[test]
fn frame_with_a_wrong_length_is_passed_to_the_client() {
    let whole = content_header(&bad());
    for length in [0, 1, 11, 12, 13, whole.len() - 9] {
        let mut stream = whole.clone();
        stream[3..7].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        let got = read(&stream);
        assert!(stream.starts_with(&got) && got.len() >= 8 + length, "{length}: {got:?}");
    }
}

#[test]
fn thousands_of_headers_stay_unchanged_unless_one_is_unreadable() {
    let many: Vec<u8> = (0..8_000).flat_map(|number| header(format!("h{number}").as_bytes(), b"V")).collect();
    let tune = frame(1, &[0, 10, 0, 30, 7, 255, 0, 2, 0, 0, 0, 60]);
    for (last, is_kept) in [(header(b"a", b"V"), true), (header(b"\xff", b"V"), false)] {
        let sent = content_header(&properties(&[(2, &[&many[..], &last].concat())]));
        let got = read(&[&tune[..], &sent].concat());
        assert_eq!(got[tune.len()..] == sent, is_kept);
        assert_eq!(is_readable(&frames(&got)[1].1[12..]), Some(true));
    }
}

#[test]
fn death_headers_may_nest_as_deep_as_any_header_and_no_deeper() {
    for (depth, is_kept) in [(MAX_DEPTH - 1, true), (MAX_DEPTH, false), (1_500, false)] {
        let sent = content_header(&properties(&[(2, &header(b"x-death", &nested_arrays(depth)))]));
        let got = read(&sent);
        assert_eq!(got == sent, is_kept, "{depth}");
        let read = lapin::protocol::basic::parse_properties(&frames(&got)[0].1[12..]).unwrap().1;
        let message = crate::record::read(&"q".into(), &read, Vec::new());
        assert_eq!(message.headers.get(messagekit::headers::UNREADABLE).is_none(), is_kept);
    }
}

/// RabbitMQ truncates the text at 252 bytes, also inside a character of several bytes.
#[test]
fn a_close_reason_cut_off_inside_a_character_stays_readable() {
    for method in [[0, 10, 0, 50], [0, 20, 0, 40]] {
        let said =
            |text: &[u8]| frame(1, &[&method[..], &[1, 148], &header(text, b""), &[0, 50, 0, 10]].concat());
        assert_eq!(read(&said(b"no queue 'caf\xc3...")), said(b"no queue 'caf?..."));
        let whole = said("no queue 'café'".as_bytes());
        assert_eq!(read(&whole), whole);
    }
}
