//! `daemon stop`: ends the owner, and with `--instances` everything that it ran.
//!
//! The owner goes first: it would start instances again for the work units whose turn comes next.
//! What still runs then is stopped as without an owner, with `--force` at once and unasked.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::{act, offline, work};
use super::readable_within;
use crate::api::client::Client;
use crate::api::socket;
use crate::config::home::Home;
use crate::domain::run::StopMode;
use crate::domain::work::Chunk;

/// An owner that was told to stop is gone within this.
const STOP_TIME: Duration = Duration::from_secs(5);

/// What is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Nothing but the owner; what it ran goes on.
    Owner,
    /// The instances and the commands of work units, too.
    Everything,
}

/// Ends the owner of a home and waits until it is gone; instances keep running.
///
/// # Errors
///
/// Returns an error when there is none, or it does not end.
pub(in crate::cli) async fn end(home: &Home, output: &Output) -> Result<Exit, CliError> {
    run(home, What::Owner, StopMode::Gentle, output).await
}

/// `llama-orch daemon stop`; `mode` is how everything is stopped that is to be.
///
/// # Errors
///
/// Returns an error when there is nothing to stop, the owner does not end, or the home cannot be
/// owned then.
pub(super) async fn run(
    home: &Home,
    what: What,
    mode: StopMode,
    output: &Output,
) -> Result<Exit, CliError> {
    match owner_process(home) {
        Some(owner) => {
            let said = end_owner(home, owner, mode).await?;
            match what {
                What::Owner => {
                    output.say(&format!("{said}; instances keep running"));
                    tell_of_commands(&offline::living_units(home), output);
                    Ok(Exit::Success)
                }
                What::Everything => {
                    output.say(&said);
                    end_everything(home, mode, output).await
                }
            }
        }
        None => {
            output.say("no daemon runs");
            let left = !offline::living(home).is_empty() || !offline::living_units(home).is_empty();
            match (what, left) {
                // An earlier one left it, perhaps a forced stop that was interrupted.
                (What::Everything, true) => end_everything(home, mode, output).await,
                (What::Owner, true) => Err(nothing_to_stop().with_hint(
                    "stop what runs without one, too: llama-orch daemon stop --instances",
                )),
                (What::Owner | What::Everything, false) => Err(nothing_to_stop()),
            }
        }
    }
}

fn nothing_to_stop() -> CliError {
    CliError::new(Exit::Daemon, "there is nothing to stop")
}

/// Ends the owner and waits until it is gone; returns what is said of it.
async fn end_owner(home: &Home, owner: OwnerProcess, mode: StopMode) -> Result<String, CliError> {
    let OwnerProcess { pid, fd } = owner;
    let said = match mode {
        StopMode::Kill => {
            pidfd_send_signal(&fd, Signal::KILL).map_err(std::io::Error::from)?;
            format!("daemon killed (pid {pid})")
        }
        StopMode::Gentle => {
            Client::socket(&home.socket()).stop_owner().await?;
            format!("daemon stopped (pid {pid})")
        }
    };
    let gone = tokio::task::spawn_blocking(move || readable_within(&fd, STOP_TIME)).await;
    if !gone.unwrap_or(false) {
        let message = format!("the owner (pid {pid}) is still there");
        return Err(CliError::new(Exit::Daemon, message)
            .with_hint("kill it: llama-orch daemon stop --force (instances keep running)"));
    }
    Ok(said)
}

/// Stops what an owner left, and what the next one would start again.
async fn end_everything(home: &Home, mode: StopMode, output: &Output) -> Result<Exit, CliError> {
    let commands = match offline::living_units(home).is_empty() {
        true => Exit::Success,
        false => work::stop_commands(home, mode, output).await?,
    };
    let names = offline::to_stop(home);
    let instances = act::stop_all(home, &names, mode, output).await?;
    match commands {
        Exit::Success => Ok(instances),
        failed => Ok(failed),
    }
}

/// Says which commands of work units go on, and how one is stopped.
fn tell_of_commands(units: &[Chunk], output: &Output) {
    let Some(first) = units.first() else { return };
    let names: Vec<&str> = units.iter().map(Chunk::as_str).collect();
    output.say(&format!(
        "the commands of these work units go on: {}",
        names.join(", ")
    ));
    output.hint(&format!(
        "stop one: llama-orch work-unit status {first} NEEDS_ATTENTION"
    ));
}

/// The process at the other end of the socket.
struct OwnerProcess {
    pid: i32,
    fd: OwnedFd,
}

/// Learns the owner's pid from the kernel, which works even when the owner hangs.
fn owner_process(home: &Home) -> Option<OwnerProcess> {
    let stream = socket::connect(&home.socket()).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(stream.as_fd()).ok()?;
    let fd = pidfd_open(peer.pid, PidfdFlags::empty()).ok()?;
    // Connecting again to the same listener proves that it still lived after the pidfd was open.
    let again = socket::connect(&home.socket()).ok()?;
    let same = rustix::net::sockopt::socket_peercred(again.as_fd()).ok()?;
    (same.pid == peer.pid).then(|| OwnerProcess {
        pid: Pid::as_raw(Some(peer.pid)),
        fd,
    })
}
