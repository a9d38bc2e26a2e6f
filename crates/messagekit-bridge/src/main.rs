//! The program `messagekit-bridge`.

use std::process::ExitCode;

fn main() -> ExitCode {
    messagekit_bridge::program::main()
}
