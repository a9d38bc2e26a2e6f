//! The thread that reads a log of Kafka stops when enough pages are on their way, and goes on when there is room.

use std::sync::Arc;

use shuttle::sync::mpsc::{Receiver, channel};
use shuttle::thread;

use crate::flow::Flow;
use crate::orders::in_every_order;
use crate::sync::{Thread, current, park};

/// One page more than there is room for.
const SENT: usize = 5;

/// Sends more pages of one partition than there is room for, to a reader that returns each and wakes as `wake` says.
fn fill_and_empty(wake: fn(bool, &Thread)) {
    let flow = Arc::new(Flow::new(1));
    let (sender, receiver) = channel();
    let reading_thread = current();
    let reader = thread::spawn({
        let flow = Arc::clone(&flow);
        move || empty(&receiver, &flow, |wanted| wake(wanted, &reading_thread))
    });
    for number in 0..SENT {
        while !flow.has_room(0) {
            if !flow.wait() {
                park();
            }
        }
        flow.sent(0, 10);
        sender.send(number).unwrap();
    }
    reader.join().unwrap();
}

fn empty(receiver: &Receiver<usize>, flow: &Flow, wake: impl Fn(bool)) {
    for number in 0..SENT {
        assert_eq!(receiver.recv(), Ok(number));
        let has_room = flow.received(10);
        wake(flow.returned(0, 1) || has_room);
    }
}

#[test]
fn a_thread_that_waits_for_pages_is_woken() {
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
fn a_reader_that_never_wakes_its_thread_is_found() {
    in_every_order(|| fill_and_empty(|_, _| {}));
}
