//! A service as its operator sees it: its port, its settings and its stop.

mod port;
mod settings;
mod stop;
mod support;
