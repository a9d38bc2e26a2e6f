//! Topics that are read in the order of their time.

mod reader;
mod scenarios;
mod scripted_log;
