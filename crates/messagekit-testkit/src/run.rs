//! Runs one case of a suite.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest time of a case. It stops a case that hangs, not a slow one.
const LIMIT: Duration = Duration::from_secs(900);

/// A capability that a case needs of its fixture beyond the traits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Need {
    /// Nothing.
    Nothing,
    /// Several members divide the lanes.
    SharedWork,
    /// One member works and the other members stand by.
    Standby,
    /// Messages survive the end of the process.
    Persistence,
    /// Deliveries have positions.
    Positions,
    /// The fixture can take lanes away.
    Losing,
    /// The fixture can make a statement fail unnoticed, and the database fails the transaction.
    SwallowedErrors,
    /// The fixture can make the next `begin` fail.
    RefusedBegin,
    /// The fixture can open the same database a second time.
    SecondHandle,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::SharedWork => "members that share the work, and one works while the others stand by",
            Self::Standby => "a standby, and members share the work",
            Self::Persistence => "persistence, and messages end with the process",
            Self::Positions => "coordinates, and deliveries have none",
            Self::Losing => "a fixture that takes lanes away, and this one cannot",
            Self::SwallowedErrors => {
                "a database that ends a transaction with a failed statement, and this one goes on"
            }
            Self::RefusedBegin => "a fixture that makes begin fail, and this one cannot",
            Self::SecondHandle => "a second handle of the database, and there is none",
        })
    }
}

/// Prints that a case was skipped.
#[expect(clippy::print_stderr, reason = "a skipped case must be seen in the output of the tests")]
pub(crate) fn skipped(case: &str, need: Need) {
    eprintln!("skipped {case}: it needs {need}");
}

/// Runs a case on its own runtime with a time limit, and returns its output.
///
/// # Panics
/// Panics when the case does, or when it takes longer than a quarter of an hour.
pub fn block_on<T>(case: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let ended = tokio::time::timeout(LIMIT, case).await;
        ended.unwrap_or_else(|_| panic!("the case did not end within {LIMIT:?}"))
    })
}

/// Returns a name that no other case, process or test run uses, for topics, consumers and ids on a shared backend.
pub fn unique(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    format!("{prefix}.t{:x}-{:x}-{count}", since.as_nanos() & 0xffff_ffff_ffff, std::process::id())
}
