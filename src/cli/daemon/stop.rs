//! `daemon stop`: ends the owner, and with `--instances` everything that it ran.
//!
//! The owner goes first: it would start instances again for the work units whose turn comes next.
//! What still runs then is stopped as without an owner.

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

/// `llama-orch daemon stop`; `mode` is how the owner is stopped, what it ran is stopped gently.
///
/// # Errors
///
/// Returns an error when there is no owner, it does not end, or the home cannot be owned then.
pub(super) async fn run(
    home: &Home,
    what: What,
    mode: StopMode,
    output: &Output,
) -> Result<Exit, CliError> {
    let Some(owner) = owner_process(home) else {
        output.say("no daemon runs");
        return Err(CliError::new(Exit::Daemon, "there is nothing to stop"));
    };
    match mode {
        StopMode::Kill => {
            pidfd_send_signal(&owner.fd, Signal::KILL).map_err(std::io::Error::from)?;
        }
        StopMode::Gentle => {
            let client = Client::socket(&home.socket());
            if what == What::Everything {
                call_off_restarts(home, &client, output).await?;
            }
            client.stop_owner().await?;
        }
    }
    let fd = owner.fd;
    let gone = tokio::task::spawn_blocking(move || readable_within(&fd, STOP_TIME)).await;
    if !gone.unwrap_or(false) {
        let message = format!("the owner (pid {}) is still there", owner.pid);
        return Err(CliError::new(Exit::Daemon, message)
            .with_hint("kill it: llama-orch daemon stop --force (instances keep running)"));
    }
    let units = offline::living_units(home);
    match what {
        What::Owner => {
            let pid = owner.pid;
            output.say(&format!(
                "daemon stopped (pid {pid}); instances keep running"
            ));
            tell_of_commands(&units, output);
            Ok(Exit::Success)
        }
        What::Everything => {
            output.say(&format!("daemon stopped (pid {})", owner.pid));
            let commands = match units.is_empty() {
                true => Exit::Success,
                false => work::stop_commands(home, output).await?,
            };
            let names = offline::living(home);
            let instances = act::stop_all(home, &names, output).await?;
            match commands {
                Exit::Success => Ok(instances),
                failed => Ok(failed),
            }
        }
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

/// Stops instances that are down and would be started again: the next owner would do it.
async fn call_off_restarts(home: &Home, client: &Client, output: &Output) -> Result<(), CliError> {
    let rows = client.instances().await?.to_snapshot().rows;
    let names: Vec<_> = rows
        .into_iter()
        .filter(|row| !row.status.is_live() && row.restart_at.is_some())
        .map(|row| row.name)
        .collect();
    act::stop_all(home, &names, output).await?;
    Ok(())
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
