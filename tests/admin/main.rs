//! The admin over PostgreSQL.

mod desk;
mod document;
mod killed_replay;
mod stock;
