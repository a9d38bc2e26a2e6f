//! The program `messagekit-bridge`, built with crash points.

use std::process::ExitCode;

fn main() -> ExitCode {
    messagekit_bridge::program::main()
}
