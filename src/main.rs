//! The edge: hands the command line to `cli` and returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(llama_orch::cli::main(std::env::args_os().collect()))
}
