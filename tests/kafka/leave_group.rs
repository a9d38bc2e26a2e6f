//! Removes a member from its group, which no client offers.

use std::io::{Read, Write};
use std::net::TcpStream;

use messagekit_tests::services;
use rdkafka::consumer::Consumer;

use crate::broker::{ADMIN, outside};

/// Sends `LeaveGroup` for every member of a group, as if the members had sent it themselves. Their next heartbeat is refused.
pub(crate) fn throw_out(group: &str) {
    let listed = outside("nobody").fetch_group_list(Some(group), ADMIN).unwrap();
    let members: Vec<String> = listed
        .groups()
        .iter()
        .filter(|found| found.name() == group)
        .flat_map(|found| found.members())
        .map(|member| member.id().to_owned())
        .collect();
    assert!(!members.is_empty(), "group {group} has no member");

    let mut request = Vec::new();
    // Key 13 is LeaveGroup; version 3 is the last one without tagged fields.
    request.extend(13_i16.to_be_bytes());
    request.extend(3_i16.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    text(&mut request, "test");
    text(&mut request, group);
    request.extend(i32::try_from(members.len()).unwrap().to_be_bytes());
    for member in &members {
        text(&mut request, member);
        // No instance id.
        request.extend((-1_i16).to_be_bytes());
    }
    let mut broker = TcpStream::connect(services::kafka()).unwrap();
    broker.set_read_timeout(Some(ADMIN)).unwrap();
    broker.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    broker.write_all(&request).unwrap();
    // Length, correlation id, throttle time, error code.
    let mut answer = [0_u8; 14];
    broker.read_exact(&mut answer).unwrap();
    assert_eq!(answer[12..], [0, 0], "the broker refused to let {group} go");
}

fn text(request: &mut Vec<u8>, text: &str) {
    request.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    request.extend(text.as_bytes());
}
