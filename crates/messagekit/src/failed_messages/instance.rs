//! The name of this process, for operators.

use std::sync::OnceLock;

/// The most characters of the host's name.
const LONGEST_HOST: usize = 64;

/// Returns the name of this process, `HOST/PID`: in a container, its name stands for the host. Stores write it where an operator
/// asks which process did something.
///
/// ```
/// let name = messagekit::adapter::instance();
/// assert!(name.ends_with(&format!("/{}", std::process::id())));
/// ```
pub fn instance() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("{}/{}", host(named_host()), std::process::id()))
}

/// Returns the first name that the system gives the host.
fn named_host() -> Option<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    kernel.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok())
}

/// Returns the usable part of a name.
fn host(named: Option<String>) -> String {
    let named = named.unwrap_or_default();
    let usable = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let host: String = named.trim().chars().filter(usable).take(LONGEST_HOST).collect();
    if host.is_empty() { "unknown".to_owned() } else { host }
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn a_host_has_a_short_printable_name() {
        for (named, expected) in [
            (Some("billing-7f9c\n"), "billing-7f9c"),
            (Some("a b/c\u{1b}[2J"), "abc2J"),
            (Some(" \n"), "unknown"),
            (None, "unknown"),
        ] {
            assert_eq!(host(named.map(str::to_owned)), expected);
        }
        assert_eq!(host(Some("h".repeat(500))).len(), 64);
    }
}
