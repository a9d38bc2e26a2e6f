//! Calls from Python into asynchronous code.

use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::errors::{NativeError, to_python};

/// The runtime has the timers and the tasks in the background. Calls are polled on their own threads, so that a function of the user
/// runs where its call came from, and may call again.
static RUNTIME: OnceLock<Runtime> = OnceLock::new();

fn runtime() -> PyResult<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = Builder::new_multi_thread().worker_threads(1).thread_name("messagekit").enable_all().build();
    let made = made.map_err(|error| NativeError::new_err(("unavailable", error.to_string(), "{}")))?;
    Ok(RUNTIME.get_or_init(|| made))
}

/// How often a signal is looked for while a call waits: at 100 ms an idle follower took 0.17 % of a core.
const TICK: Duration = Duration::from_millis(300);

/// Awaits a call. The interpreter is free meanwhile: it is detached before anything locks or waits. A signal handler that raises ends the
/// call, whose outcome is unknown then.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    call: impl Future<Output = Result<T, messagekit_topics::Error>> + Send,
) -> PyResult<T> {
    let runtime = runtime()?;
    py.detach(|| {
        let _inside = runtime.enter();
        pollster::block_on(async {
            let mut call = pin!(call);
            loop {
                match timeout(TICK, &mut call).await {
                    Ok(answer) => return answer.map_err(to_python),
                    Err(_) => Python::attach(|py| py.check_signals())?,
                }
            }
        })
    })
}
