//! The operators' side of messagekit over HTTP.
