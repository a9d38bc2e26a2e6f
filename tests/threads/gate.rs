//! A change of a gate wakes every task that waits at it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use shuttle::future::block_on;
use shuttle::thread;

use crate::orders::in_every_order;
use crate::watched::Watched;

fn poll_take(free: &Watched<u32>, handle: u64, cx: &mut Context<'_>) -> Poll<()> {
    free.poll(handle, cx, |free| (*free > 0).then(|| *free -= 1))
}

fn take(free: &Watched<u32>) {
    let handle = free.handle();
    block_on(poll_fn(|cx| poll_take(free, handle, cx)));
}

#[test]
fn everybody_gets_the_permit_in_turn() {
    in_every_order(|| {
        let free = Arc::new(Watched::new(1));
        let work = |free: &Watched<u32>| {
            take(free);
            free.change(|free| *free += 1);
        };
        let other = thread::spawn({
            let free = Arc::clone(&free);
            move || work(&free)
        });
        work(&free);
        other.join().unwrap();
        assert_eq!(free.look(|free| *free), 1);
    });
}

#[test]
fn waiting_handle_that_leaves_takes_no_wake_from_another() {
    in_every_order(|| {
        let free = Arc::new(Watched::new(0));
        let gone = thread::spawn({
            let free = Arc::clone(&free);
            move || {
                let handle = free.handle();
                let taken = block_on(poll_fn(|cx| Poll::Ready(poll_take(&free, handle, cx).is_ready())));
                free.leave(handle);
                if taken {
                    free.change(|free| *free += 1);
                }
            }
        });
        let waits = thread::spawn({
            let free = Arc::clone(&free);
            move || take(&free)
        });
        free.change(|free| *free += 1);
        gone.join().unwrap();
        waits.join().unwrap();
        assert_eq!(free.look(|free| *free), 0);
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn change_that_wakes_no_waiter_is_found() {
    in_every_order(|| {
        let free = Arc::new(Watched::new(0));
        let waits = thread::spawn({
            let free = Arc::clone(&free);
            move || take(&free)
        });
        free.look(|free| *free += 1);
        waits.join().unwrap();
    });
}
