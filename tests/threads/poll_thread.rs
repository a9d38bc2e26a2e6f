//! The thread that polls Kafka stops when enough messages are in flight, and continues when there is room.

use std::sync::Arc;

use shuttle::sync::mpsc::{Receiver, channel};
use shuttle::thread;

use crate::in_flight::UnderWay;
use crate::orders::in_every_order;
use crate::sync::{MESSAGES, Thread, current, park};

/// Sends more messages than there is room for, to a receiver that takes each message and wakes as `wake` says.
fn fill_and_empty(wake: fn(bool, &Thread)) {
    const SENT: usize = MESSAGES + 2;
    let in_flight = Arc::new(UnderWay::default());
    let (sender, receiver) = channel();
    let poll_thread = current();
    let subscriber = thread::spawn({
        let in_flight = Arc::clone(&in_flight);
        move || empty(SENT, &receiver, &in_flight, |wanted| wake(wanted, &poll_thread))
    });
    for number in 0..SENT {
        while !in_flight.has_room() {
            park();
        }
        in_flight.add(1);
        sender.send(number).unwrap();
    }
    subscriber.join().unwrap();
}

fn empty(count: usize, receiver: &Receiver<usize>, in_flight: &UnderWay, wake: impl Fn(bool)) {
    for number in 0..count {
        assert_eq!(receiver.recv(), Ok(number));
        wake(in_flight.take(1));
    }
}

#[test]
fn a_thread_that_waits_for_room_is_woken() {
    in_every_order(|| {
        fill_and_empty(|wanted, thread| {
            if wanted {
                thread.unpark();
            }
        });
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_subscriber_that_never_wakes_its_reader_is_found() {
    in_every_order(|| fill_and_empty(|_, _| {}));
}
