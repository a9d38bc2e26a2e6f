//! The list of failed runs of a failed message, in the statement that ends or begins one.

use messagekit::adapter::{Failure, instance};

/// The list of the failed message `d` with one more run, of which at most the last 20 stay.
macro_rules! appended {
    ($($run:tt)*) => {
        concat!(
            "jsonb_path_query_array(d.failed_runs || jsonb_build_array(",
            $($run)*,
            "), '$[last - 19 to last]')"
        )
    };
}

/// A run that fails now: its attempt, error and process.
macro_rules! failed_run {
    ($attempt:literal, $error:literal, $instance:literal) => {
        concat!(
            "jsonb_build_object('at', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 'attempt', ",
            $attempt,
            ", 'error', ",
            $error,
            "::text, 'instance', ",
            $instance,
            "::text)"
        )
    };
}

/// The list of a message that is set aside by this process, or has not run here.
macro_rules! first_run {
    ($attempt:literal, $error:literal, $instance:literal) => {
        concat!(
            "CASE WHEN ",
            $instance,
            "::text IS NULL THEN '[]'::jsonb ELSE jsonb_build_array(",
            failed_run!($attempt, $error, $instance),
            ") END"
        )
    };
}

/// What a lease writes: its process, and the run before if that one ended without a result and ran alone.
macro_rules! leased_by {
    ($instance:literal) => {
        concat!(
            "failed_runs = CASE WHEN d.running_since IS NOT NULL AND d.run_length = 1 THEN ",
            appended!(
                "jsonb_build_object('at', (extract(epoch FROM d.running_since) * 1000000)::bigint, 'attempt', d.attempts,
      'instance', CASE WHEN starts_with(d.leased_by, d.token || ' ') THEN substr(d.leased_by, length(d.token::text) + 2) END)"
            ),
            "
    ELSE d.failed_runs END, leased_by = (d.token + 1) || ' ' || ",
            $instance,
            "::text"
        )
    };
}

pub(super) use {appended, failed_run, first_run, leased_by};

/// Returns the process in which a message that is set aside has failed, or `None` if no run of it is counted.
pub(super) fn failed_in(failure: &Failure) -> Option<&'static str> {
    (failure.attempts > 0).then(instance)
}
