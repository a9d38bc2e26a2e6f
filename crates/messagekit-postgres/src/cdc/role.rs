//! The role that reads the slot.

/// The role that reads the slot. It has LOGIN, REPLICATION and CONNECT, and no right on any table. It belongs to the
/// whole server.
pub const ROLE: &str = "messagekit_cdc";

/// The variable that holds the password of [`ROLE`], here and in the connector's worker.
pub const PASSWORD_VARIABLE: &str = "MESSAGEKIT_CDC_PASSWORD";
