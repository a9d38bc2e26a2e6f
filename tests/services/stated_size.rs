//! The size of long tests.

/// Returns whether the long tests run at their stated size, as with `--full`.
pub fn is_full() -> bool {
    std::env::var_os("MESSAGEKIT_FULL").is_some_and(|value| value == "1")
}
