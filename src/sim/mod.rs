//! The built-in simulated llama-server.
//!
//! It speaks llama-server's surface (flags, environment, HTTP, log lines, signals, exit codes)
//! honestly enough to supervise, loads no model, and shows every fault on demand: see the last
//! section of its `--help`. Where the two differ on purpose, the answers say "simulated".
//!
//! A new flag needs a line in `flags.txt` and a reader in `flags.rs`; a new fault also needs a
//! field in `faults.rs` and its effect in `load.rs` (before ready) or `run.rs` (after).

mod answers;
mod completion;
mod duration;
mod faults;
mod flag_table;
mod flags;
mod flood;
mod load;
mod logfmt;
mod metrics;
mod run;
mod server;
mod sleeper;
mod state;
#[cfg(test)]
mod tests;
mod traffic;

use std::env;
use std::ffi::OsString;

use flags::Request;

/// Memory of every simulated device, in MiB.
const DEVICE_MIB: u32 = 8192;

/// What llama-server knows of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagShape {
    pub name: &'static str,
    /// How many values follow it.
    pub values: usize,
    /// The spelling that switches it off.
    pub off: Option<&'static str>,
}

/// Returns what a current llama-server knows of a spelling, or of a variable that stands for one.
#[must_use]
pub fn flag_shape(word: &str) -> Option<FlagShape> {
    let flag = flag_table::find(word)?;
    Some(FlagShape {
        name: flag.key(),
        values: flag.values(),
        off: flag.off(),
    })
}

/// Runs the simulated server with the arguments after the program's name; returns its exit code.
#[must_use]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the command line is handed over whole, like to any main"
)]
pub fn main(args: Vec<OsString>) -> u8 {
    let args = args.as_slice();
    if args.first().is_some_and(|first| first == sleeper::ARGUMENT) {
        return sleeper::run(args);
    }
    match flags::read(args, |name| env::var(name).ok()) {
        Ok(Request::Help) => logfmt::write_stdout(flag_table::help().as_bytes()),
        Ok(Request::Version) => logfmt::write_stderr(&version()),
        Ok(Request::ListDevices(names)) => logfmt::write_stdout(devices(&names).as_bytes()),
        Ok(Request::Serve(settings)) => return run::run(*settings),
        Err(error) => {
            logfmt::write_stderr(&format!("{error}\n"));
            return 1;
        }
    }
    0
}

fn version() -> String {
    format!(
        "version: 1 (51a0000)\nbuilt with llama-orch {} for Linux {} (simulated)\n",
        env!("CARGO_PKG_VERSION"),
        env::consts::ARCH
    )
}

fn devices(names: &[String]) -> String {
    let mut text = "Available devices:\n".to_owned();
    for name in names {
        let line = format!("  {name}: simulated ({DEVICE_MIB} MiB, {DEVICE_MIB} MiB free)\n");
        text.push_str(&line);
    }
    if names.is_empty() {
        text.push_str("  (none)\n");
    }
    text
}
