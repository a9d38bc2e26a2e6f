//! What an operator sees of a bookkeeper: failed messages, their way back, and what a kill leaves behind, on the adapters in
//! memory.

mod building;
mod fixture;
mod keeping;
mod killed;
mod reading;
mod returning;
