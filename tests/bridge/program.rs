//! The program `messagekit-bridge`, built with the places where a test ends it.

use std::process::ExitCode;

fn main() -> ExitCode {
    messagekit_bridge::program()
}
