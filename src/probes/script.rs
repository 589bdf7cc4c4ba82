//! A probe by the user's own script: exit code 0 is healthy.

use std::io;
use std::process::Command;
use std::time::Instant;

use super::{Outcome, Verdict};
use crate::domain::exit::ExitStatus;

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

/// Runs the script once, by whoever can end it with everything it started.
///
/// `run` blocks until the script has ended and returns how, or `None` when its time was over.
pub async fn probe(
    script: &Script,
    run: impl FnOnce(Command) -> io::Result<Option<ExitStatus>> + Send + 'static,
) -> Outcome {
    let begun = Instant::now();
    let script = script.clone();
    let verdict = tokio::task::spawn_blocking(move || match prepared(&script) {
        Some(command) => judge(run(command)),
        None => unreachable("the script is empty or has an open quote".to_owned()),
    });
    Outcome {
        verdict: verdict
            .await
            .unwrap_or_else(|error| unreachable(format!("run the script: {error}"))),
        took: begun.elapsed(),
    }
}

fn judge(ended: io::Result<Option<ExitStatus>>) -> Verdict {
    match ended {
        Ok(Some(ExitStatus::Code(0))) => Verdict::Healthy,
        Ok(Some(status @ ExitStatus::Code(_))) => unreachable(format!("the script {status}")),
        Ok(Some(status @ ExitStatus::Signal(_))) => unreachable(format!("the script was {status}")),
        Ok(None) => Verdict::TimedOut,
        Err(error) => unreachable(format!("run the script: {error}")),
    }
}

fn unreachable(reason: String) -> Verdict {
    Verdict::Unreachable { reason }
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
    async fn the_words_reach_the_program_and_its_end_becomes_a_verdict() {
        let told = script("test {host}{port}{name} = h7n", Interpreter::None);
        let outcome = probe(&told, |command| {
            let words: Vec<_> = command.get_args().collect();
            assert_eq!(words, ["h7n", "=", "h7n"]);
            Ok(Some(ExitStatus::Code(0)))
        });
        assert_eq!(outcome.await.verdict, Verdict::Healthy);
        let rows = [
            (
                Ok(Some(ExitStatus::Code(3))),
                "the script exited with code 3",
            ),
            (
                Ok(Some(ExitStatus::Signal(9))),
                "the script was killed by SIGKILL",
            ),
            (
                Err(io::Error::from(io::ErrorKind::NotFound)),
                "run the script: entity not found",
            ),
        ];
        for (ended, reason) in rows {
            assert_eq!(judge(ended), unreachable(reason.to_owned()));
        }
        assert_eq!(judge(Ok(None)), Verdict::TimedOut);
        let empty = script(" ", Interpreter::None);
        let outcome = probe(&empty, |_| unreachable!("there is nothing to run")).await;
        let reason = "the script is empty or has an open quote".to_owned();
        assert_eq!(outcome.verdict, unreachable(reason));
    }
}
