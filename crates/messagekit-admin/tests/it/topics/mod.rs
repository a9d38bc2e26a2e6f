//! Topics over HTTP, over files.

mod acknowledge;
mod append;
mod consume;
mod databases;
mod form;
mod give_back;
mod hostile;
mod latest_offsets;
mod retention;
mod roles;
mod shop;
mod sockets;
mod sql;
mod sql_roles;
