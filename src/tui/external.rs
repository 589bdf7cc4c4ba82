//! Other programs in our terminal: the editor, the pager, and the shell after Ctrl-Z.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use signal_hook::consts::SIGCONT;

use super::effect::Carrier;
use super::model::{Model, Msg, Supervisor};
use super::term::Screen;
use crate::domain::instance::InstanceName;

/// A stop takes hold within this; without a shell to go back to there is none.
const STOP_TIME: Duration = Duration::from_secs(1);

/// Opens an instance's configuration in the editor, then reads it again.
pub(super) fn edit(screen: &mut Screen, carrier: &Carrier, name: InstanceName) -> io::Result<()> {
    let path = match carrier.host.files() {
        Ok(files) => files
            .config_file(&name)
            .ok_or_else(|| format!("{name} has no configuration file")),
        Err(elsewhere) => Err(format!("edit {name}: {elsewhere}")),
    };
    let path = match path {
        Ok(path) => path,
        Err(why) => {
            carrier.mailbox.post(Msg::Failed(why));
            return Ok(());
        }
    };
    let editor = program(&["VISUAL", "EDITOR"], "vi");
    if let Some(trouble) = run(screen, carrier, &editor, path.as_os_str())? {
        carrier
            .mailbox
            .post(Msg::Failed(format!("{editor}: {trouble}")));
    }
    carrier.blocking(move |host| {
        let report = host.files().ok()?.check_config(&name);
        Some(Msg::Edited(name, Box::new(report)))
    });
    Ok(())
}

/// Shows a file in the pager.
pub(super) fn page(screen: &mut Screen, carrier: &Carrier, path: &Path) -> io::Result<()> {
    if let Err(elsewhere) = carrier.host.files() {
        let text = format!("open {}: {elsewhere}", path.display());
        carrier.mailbox.post(Msg::Failed(text));
        return Ok(());
    }
    let pager = program(&["PAGER"], "less");
    if let Some(trouble) = run(screen, carrier, &pager, path.as_os_str())? {
        carrier
            .mailbox
            .post(Msg::Failed(format!("{pager}: {trouble}")));
    }
    Ok(())
}

/// Back to the shell until `fg`.
pub(super) fn suspend(screen: &mut Screen, carrier: &Carrier, model: &Model) -> io::Result<()> {
    screen.leave();
    if model.supervisor == Supervisor::InProcess {
        screen.say("llama-orch: instances keep running; nobody restarts them until fg\r\n");
    }
    let stopped = stop_until_continued();
    screen.reenter()?;
    if let Err(error) = stopped {
        carrier
            .mailbox
            .post(Msg::Failed(format!("suspend: {error}")));
    }
    carrier.mailbox.post(Msg::Resumed);
    Ok(())
}

/// Stops the whole process group, as a shell expects of a job, and returns when it goes on.
///
/// The stop reaches this thread a moment after the call that asks for it: without the wait the
/// terminal could be taken back before the shell has it.
fn stop_until_continued() -> io::Result<()> {
    let (mut continued, signalled) = UnixStream::pair()?;
    continued.set_read_timeout(Some(STOP_TIME))?;
    let registered = signal_hook::low_level::pipe::register(SIGCONT, signalled)?;
    let stopped = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
    if stopped.is_ok() {
        continued.read_exact(&mut [0]).ok(); // no shell, no stop: then the time is over
    }
    signal_hook::low_level::unregister(registered);
    Ok(stopped?)
}

fn program(variables: &[&str], otherwise: &str) -> String {
    variables
        .iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|value| !value.trim().is_empty())
        .unwrap_or_else(|| otherwise.to_owned())
}

/// Runs a program with the terminal; returns what went wrong with it.
fn run(
    screen: &mut Screen,
    carrier: &Carrier,
    program: &str,
    argument: &OsStr,
) -> io::Result<Option<String>> {
    screen.leave();
    // The variable may hold arguments; a shell reads it as every other program does.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{program} \"$1\""))
        .arg("sh")
        .arg(argument)
        .status();
    screen.reenter()?;
    carrier.mailbox.post(Msg::Resumed);
    Ok(match status {
        Ok(status) if status.success() => None,
        Ok(status) => Some(status.to_string()),
        Err(error) => Some(error.to_string()),
    })
}
