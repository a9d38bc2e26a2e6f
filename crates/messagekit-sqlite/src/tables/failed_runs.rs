//! The list of failed runs of a failed message, in the statement that ends or begins one.

use messagekit::adapter::instance;
use messagekit::operations::FailedRun;
use serde_json::json;

/// Returns SQL for the list of failed runs with one more, of which at most the last ones that are kept stay.
pub(super) fn appended(run: &str) -> String {
    let kept = FailedRun::KEPT;
    format!(
        "json_insert(iif(json_array_length(failed_runs) < {kept}, failed_runs, json_remove(failed_runs, '$[0]')), '$[#]', json({run}))"
    )
}

/// Returns SQL for the list of failed runs at a lease: with the run before if that one ended without a result and ran alone.
pub(super) fn at_lease() -> String {
    let run = appended(
        "json_object('at', running_since, 'attempt', attempts, 'instance',
           iif(substr(leased_by, 1, length(token) + 1) = token || ' ', substr(leased_by, length(token) + 2), NULL))",
    );
    format!("iif(running_since IS NOT NULL AND run_length = 1, {run}, failed_runs)")
}

/// Returns the list of a message that has failed in this process, after the attempts that are counted.
pub(super) fn first(now: i64, attempts: u32, error: &str) -> String {
    if attempts == 0 { "[]".to_owned() } else { format!("[{}]", failed(now, attempts, error)) }
}

/// Returns a run of this process that has failed.
pub(super) fn failed(now: i64, attempt: u32, error: &str) -> String {
    json!({ "at": now, "attempt": attempt, "error": error, "instance": instance() }).to_string()
}
