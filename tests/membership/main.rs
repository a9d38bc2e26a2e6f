//! A group under a storm: members join, leave, are killed and frozen, while their handlers are slow.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod group;
mod late_wake;
mod progress;
mod recovery;
mod steady_supply;
mod storm;
mod watch;

/// Runs a test on two threads, one of which its observer may keep busy.
fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(work);
}
