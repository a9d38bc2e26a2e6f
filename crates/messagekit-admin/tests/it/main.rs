//! The admin as its callers see it, over stores in memory and in a file.

mod ask;
mod bulk;
mod doors;
mod handbook;
mod health;
mod hostile;
mod letters;
mod pages;
mod replay;
mod roles;
mod seed;
mod sockets;
mod stock;
