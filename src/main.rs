//! The edge: hands the command line to `cli` and returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    ExitCode::from(llama_orch::cli::main(&args))
}
