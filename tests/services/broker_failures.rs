//! The size of the tests in which brokers fail again and again.

/// Returns the number of broker failures. Every third one is a freeze, the others are kills.
pub fn broker_failures() -> usize {
    if std::env::var("MESSAGEKIT_FULL").is_ok_and(|full| full == "1") { 10 } else { 3 }
}

/// Returns the milliseconds after which a publish is given up: the default at the stated size, or less.
pub fn given_up_after() -> &'static str {
    if broker_failures() > 3 { "30000" } else { "5000" }
}
