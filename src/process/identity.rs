//! Proving that a process is the one that was meant.
//!
//! Boot id first; then a pidfd is opened, and everything else is read after that: start ticks,
//! token, executable. If the pidfd says at the end that the process still lives, all that was read
//! belonged to it. What cannot be read is not proven, and what is not proven is never signalled.
//! The token decides; the executable only explains, because an `exec` changes it legally.

use std::io;
use std::time::{Duration, Instant};

use super::live::Watched;
use super::os;
use super::runfiles::{ChildFile, TOKEN_VARIABLE};
use crate::domain::run::ProcessId;

/// In the middle of an exec a process shows no environment; much longer than that takes.
const EXEC_TIME: Duration = Duration::from_millis(20);

/// Between two looks at such an environment.
const EXEC_PAUSE: Duration = Duration::from_millis(1);

/// The outcome of a proof.
#[derive(Debug)]
pub enum Proof {
    Proven(Watched),
    /// No process has this pid, or it has ended.
    Gone,
    /// The pid belongs to another process now.
    Reused,
    /// It may be the one, but we may not look closely enough.
    Unverifiable(String),
}

/// Proves a process by pid and start ticks alone; for shims, which carry no token.
#[must_use]
pub fn prove(process: ProcessId, boot_id: &str) -> Proof {
    prove_with(process, boot_id, |_| None)
}

/// Proves a server by everything that is known of it.
#[must_use]
pub fn prove_child(child: ChildFile, token: &str, boot_id: &str) -> Proof {
    prove_with(ProcessId::from(child), boot_id, |pid| {
        match token_of(pid) {
            // Pid, start and token are those of the run. Another executable then only means that
            // a wrapper script ended in `exec llama-server`.
            Ok(Some(found)) if found == token => return None,
            Ok(_) => {}
            Err(error) => {
                return Some(Proof::Unverifiable(format!(
                    "read its environment: {error}"
                )));
            }
        }
        let recorded = (child.exe_dev, child.exe_ino);
        let why = match os::executable(pid) {
            Ok(found) if recorded != (0, 0) && found != recorded => {
                "it runs another executable, without the run's token"
            }
            Ok(_) | Err(_) => "it does not carry the run's token",
        };
        Some(Proof::Unverifiable(why.to_owned()))
    })
}

fn token_of(pid: i32) -> io::Result<Option<String>> {
    let deadline = Instant::now() + EXEC_TIME;
    loop {
        let found = os::environment_variable(pid, TOKEN_VARIABLE)?;
        if found.is_some() || Instant::now() >= deadline {
            return Ok(found);
        }
        std::thread::sleep(EXEC_PAUSE);
    }
}

fn prove_with(
    process: ProcessId,
    boot_id: &str,
    objection: impl FnOnce(i32) -> Option<Proof>,
) -> Proof {
    if os::boot_id().is_ok_and(|present| present != boot_id) {
        return Proof::Gone;
    }
    let pidfd = match os::open_pidfd(process.pid) {
        Ok(pidfd) => pidfd,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Proof::Gone,
        Err(error) => return Proof::Unverifiable(format!("open its pidfd: {error}")),
    };
    match os::stat(process.pid) {
        Ok(stat) if stat.start_ticks != process.start_ticks => return Proof::Reused,
        Ok(_) => {}
        Err(_) => return Proof::Gone,
    }
    let objection = objection(process.pid);
    if !os::is_alive(&pidfd) {
        return Proof::Gone;
    }
    objection.unwrap_or_else(|| Proof::Proven(Watched::new(process, pidfd)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper(token: &str) -> Child {
        let mut command = Command::new("/bin/sleep");
        command
            .arg("60")
            .env(TOKEN_VARIABLE, token)
            .spawn()
            .expect("sleep runs")
    }

    fn described(child: &Child) -> ChildFile {
        let pid = child.id().cast_signed();
        let id = os::identity(pid).expect("it lives");
        let (exe_dev, exe_ino) = os::executable(pid).expect("its executable");
        ChildFile {
            pid,
            start: id.start_ticks,
            exe_dev,
            exe_ino,
        }
    }

    #[test]
    fn only_the_very_process_is_proven() {
        let boot = os::boot_id().expect("a boot id");
        let mut child = sleeper("right");
        let file = described(&child);
        let other_start = ChildFile {
            start: file.start + 1,
            ..file
        };
        let other_exe = ChildFile {
            exe_ino: file.exe_ino + 1,
            ..file
        };
        assert!(matches!(
            prove_child(file, "right", &boot),
            Proof::Proven(_)
        ));
        assert!(matches!(
            prove_child(other_start, "right", &boot),
            Proof::Reused
        ));
        assert!(matches!(
            prove_child(other_exe, "right", &boot),
            Proof::Proven(_)
        ));
        assert!(matches!(
            prove_child(other_exe, "wrong", &boot),
            Proof::Unverifiable(_)
        ));
        assert!(matches!(
            prove_child(file, "wrong", &boot),
            Proof::Unverifiable(_)
        ));
        assert!(matches!(
            prove_child(file, "right", "another boot"),
            Proof::Gone
        ));
        child.kill().expect("kill");
        child.wait().expect("reap");
        assert!(matches!(prove_child(file, "right", &boot), Proof::Gone));
    }
}
