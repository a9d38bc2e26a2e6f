//! A bookkeeper's visible behaviour on in-memory adapters: failed messages, redelivery, and recovery after a kill.

mod building;
mod fixture;
mod keeping;
mod killed;
mod reading;
mod returning;
