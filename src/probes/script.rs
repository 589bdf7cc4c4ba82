//! A probe by the user's own script: exit code 0 is healthy.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{Outcome, Verdict};

/// What to run; `{host}`, `{port}` and `{name}` are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub command: String,
    pub interpreter: Interpreter,
    pub host: String,
    pub port: Option<u16>,
    pub name: String,
}

/// Who splits the command into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpreter {
    /// We do; nothing else in it has a meaning.
    None,
    /// `/bin/sh -c`.
    Shell,
}

/// Runs the script once; when its time is over, its whole process group is killed.
pub async fn probe(script: &Script, timeout: Duration) -> Outcome {
    let begun = Instant::now();
    let script = script.clone();
    let verdict = tokio::task::spawn_blocking(move || run(&script, timeout)).await;
    let verdict = verdict.unwrap_or_else(|error| Verdict::Unreachable {
        reason: format!("run the script: {error}"),
    });
    Outcome {
        verdict,
        took: begun.elapsed(),
    }
}

fn run(script: &Script, timeout: Duration) -> Verdict {
    let unreachable = |reason: String| Verdict::Unreachable { reason };
    let Some(mut command) = prepared(script) else {
        return unreachable("the script is empty or has an open quote".to_owned());
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return unreachable(format!("run the script: {error}")),
    };
    let Some(pid) = Pid::from_raw(child.id().cast_signed()) else {
        return unreachable("the script has no pid".to_owned());
    };
    let ended = pidfd_open(pid, PidfdFlags::empty()).is_ok_and(|pidfd| {
        let limit = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0)
    });
    // The leader is not reaped yet, so its number still names its group and no other.
    kill_process_group(pid, Signal::KILL).ok(); // usually nothing is left of it
    match child.wait() {
        Ok(_) if !ended => Verdict::TimedOut,
        Ok(status) if status.success() => Verdict::Healthy,
        Ok(status) => unreachable(format!("the script ended with {status}")),
        Err(error) => unreachable(format!("wait for the script: {error}")),
    }
}

fn prepared(script: &Script) -> Option<Command> {
    let port = script
        .port
        .map_or_else(String::new, |port| port.to_string());
    let fill = |text: &str| {
        text.replace("{host}", &script.host)
            .replace("{port}", &port)
            .replace("{name}", &script.name)
    };
    match script.interpreter {
        Interpreter::Shell => {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(fill(&script.command));
            Some(command)
        }
        Interpreter::None => {
            // Split first: a value with a blank stays one word.
            let words = split(&script.command)?;
            let (program, args) = words.split_first()?;
            let mut command = Command::new(fill(program));
            command.args(args.iter().map(|word| fill(word)));
            Some(command)
        }
    }
}

/// Splits at blanks; quotes of both kinds hold words together. `None` for an open quote.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(command: &str, interpreter: Interpreter) -> Script {
        Script {
            command: command.to_owned(),
            interpreter,
            host: "h".to_owned(),
            port: Some(7),
            name: "n".to_owned(),
        }
    }

    #[test]
    fn words_are_split_as_people_expect() {
        let rows = [
            ("a b", Some(vec!["a", "b"])),
            ("  a  'b c' ", Some(vec!["a", "b c"])),
            ("a \"\" b", Some(vec!["a", "", "b"])),
            ("a 'b", None),
        ];
        for (text, expected) in rows {
            let expected: Option<Vec<String>> =
                expected.map(|words| words.into_iter().map(str::to_owned).collect());
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn exit_codes_and_time_outs_become_verdicts() {
        let second = Duration::from_secs(10);
        let healthy = script("test {host}{port}{name} = h7n", Interpreter::None);
        assert_eq!(probe(&healthy, second).await.verdict, Verdict::Healthy);
        let failing = script("exit 3", Interpreter::Shell);
        assert!(matches!(
            probe(&failing, second).await.verdict,
            Verdict::Unreachable { .. }
        ));
        let slow = script("sleep 60 & wait", Interpreter::Shell);
        assert_eq!(
            probe(&slow, Duration::from_millis(50)).await.verdict,
            Verdict::TimedOut
        );
    }
}
