//! The person at the command line.

use messagekit::operations::Operator;

/// Returns the operator for the audit.
pub(crate) fn operator() -> Operator {
    let user = whoami::username().unwrap_or_else(|_| "unknown".to_owned());
    Operator::new(user, "cli")
}
