//! The shim as a small binary of its own, so that each run costs little memory.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    ExitCode::from(llama_orch::process::shim::main(&args))
}
