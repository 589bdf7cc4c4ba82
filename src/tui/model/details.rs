//! What the owner tells of one instance besides its row: asked for when somebody looks at it, kept
//! until something happens to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::super::host::Change;
use crate::api::wire::{ChangedBody, DescriptionBody, ExitBody, FitBody, RunBody, unix_seconds};
use crate::domain::connection::Connection;
use crate::domain::exit::ExitStatus;
use crate::domain::instance::InstanceName;
use crate::domain::memory::fit::Fit;

/// What is told of one instance. Paths are those of the owner's machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    pub(in crate::tui) config: Option<String>,
    pub(in crate::tui) model_path: Option<String>,
    /// The command of the present run, or of the next one; secrets masked.
    pub(in crate::tui) command: Vec<String>,
    pub(in crate::tui) logs: Vec<PathBuf>,
    /// How a client on that machine reaches it, while it runs.
    pub(in crate::tui) connection: Option<Connection>,
    /// Fields that were others when the run was started.
    pub(in crate::tui) changes: Vec<Change>,
    /// A line each.
    pub(in crate::tui) findings: Vec<String>,
    /// What is unusual about the present run.
    pub(in crate::tui) notes: Vec<String>,
    pub(in crate::tui) memory: Option<Fit>,
    /// The newest first.
    pub(in crate::tui) past: Vec<PastRun>,
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct PastRun {
    /// Unix seconds.
    pub(in crate::tui) started_at: f64,
    pub(in crate::tui) ended_at: f64,
    pub(in crate::tui) exit: Option<ExitStatus>,
    /// Somebody wanted it to end.
    pub(in crate::tui) requested: bool,
}

/// All that is known in detail.
#[derive(Debug, Default)]
pub(in crate::tui) struct Book {
    known: BTreeMap<InstanceName, Details>,
    /// Why the last question had no answer.
    troubles: BTreeMap<InstanceName, String>,
    /// The question that is under way.
    asked: Option<InstanceName>,
    /// Something happened to these since they were asked for.
    outdated: BTreeSet<InstanceName>,
}

impl Book {
    pub(in crate::tui) fn get(&self, name: &InstanceName) -> Option<&Details> {
        self.known.get(name)
    }

    /// Returns why nothing newer is known.
    pub(in crate::tui) fn trouble(&self, name: &InstanceName) -> Option<&str> {
        self.troubles.get(name).map(String::as_str)
    }

    /// Returns whether the owner is to be asked now. One question at a time: what is passed over
    /// quickly is never asked for.
    #[must_use]
    pub(in crate::tui) fn ask(&mut self, name: &InstanceName) -> bool {
        let answered = self.known.contains_key(name) || self.troubles.contains_key(name);
        if self.asked.is_some() || (answered && !self.outdated.contains(name)) {
            return false;
        }
        self.outdated.remove(name);
        self.asked = Some(name.clone());
        true
    }

    /// Takes an answer; without one, what is known stays.
    pub(in crate::tui) fn take(&mut self, name: InstanceName, answer: Result<Details, String>) {
        self.asked = None;
        match answer {
            Ok(details) => {
                self.troubles.remove(&name);
                self.known.insert(name, details);
            }
            Err(why) => {
                self.troubles.insert(name, why);
            }
        }
    }

    /// Every instance that was asked for.
    pub(in crate::tui) fn names(&self) -> impl Iterator<Item = &InstanceName> {
        let answered = self.known.keys().chain(self.troubles.keys());
        answered.chain(&self.asked)
    }

    /// Something happened to these; what is known is shown until the new is there.
    pub(in crate::tui) fn outdate(&mut self, names: impl IntoIterator<Item = InstanceName>) {
        self.outdated.extend(names);
    }

    pub(in crate::tui) fn outdate_all(&mut self) {
        let all: Vec<_> = self.names().cloned().collect();
        self.outdate(all);
    }
}

impl From<&DescriptionBody> for Details {
    fn from(body: &DescriptionBody) -> Self {
        Self {
            config: Some(body.config_path.clone()).filter(|path| !path.is_empty()),
            model_path: body.paths.model.clone(),
            command: body.command.clone().unwrap_or_default(),
            logs: body.paths.logs.iter().map(PathBuf::from).collect(),
            connection: body.connection(),
            changes: body.changed.iter().map(change).collect(),
            findings: body.findings.iter().map(|text| headline(text)).collect(),
            notes: body.notes.clone(),
            memory: body.memory.as_ref().and_then(FitBody::to_fit),
            past: body.runs.iter().filter_map(past_run).collect(),
        }
    }
}

fn change(body: &ChangedBody) -> Change {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
    Change {
        field: body.field.clone(),
        was: shown(&body.was),
        now: shown(&body.now),
    }
}

fn past_run(body: &RunBody) -> Option<PastRun> {
    let exit = body.exit.and_then(ExitBody::to_status);
    Some(PastRun {
        started_at: unix_seconds(&body.started_at)?,
        ended_at: unix_seconds(body.ended_at.as_deref()?)?,
        exit,
        requested: body.requested.unwrap_or(false),
    })
}

/// Puts a finding on one line, as the reasons of rows are: where, and what is wrong. The text of the
/// file is left to the editor.
fn headline(finding: &str) -> String {
    let mut lines = finding.lines();
    let headline = lines.next().unwrap_or_default();
    let said = headline
        .split_once(": ")
        .map_or(headline, |(_severity, said)| said);
    let place = lines.find_map(|line| line.trim_start().strip_prefix("--> "));
    place.map_or_else(|| said.to_owned(), |place| format!("{place}: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> InstanceName {
        InstanceName::parse(text).expect("a name")
    }

    #[test]
    fn nothing_is_asked_twice_before_something_happened() {
        let (a, b) = (name("a"), name("b"));
        let mut book = Book::default();
        assert!(book.ask(&a));
        assert!(!book.ask(&b), "one at a time");
        book.take(a.clone(), Err("nobody answers".to_owned()));
        assert!(!book.ask(&a), "a refusal is an answer");
        assert_eq!(book.trouble(&a), Some("nobody answers"));
        book.outdate_all();
        assert!(book.ask(&a));
        // Something happens while the answer is under way: it is asked again.
        book.outdate([a.clone()]);
        book.take(a.clone(), Ok(Details::default()));
        assert_eq!((book.get(&a).is_some(), book.trouble(&a)), (true, None));
        assert!(book.ask(&a));
        book.take(a.clone(), Err("it went away".to_owned()));
        assert!(book.get(&a).is_some(), "what is known stays");
    }

    #[test]
    fn a_finding_is_one_line_with_its_place() {
        let rows = [
            (
                "warning: `port` twice\n --> instances/a/config.toml:3:1\n  |\n3 | port = 1\n",
                "instances/a/config.toml:3:1: `port` twice",
            ),
            ("error: no place", "no place"),
            ("", ""),
        ];
        for (finding, expected) in rows {
            assert_eq!(headline(finding), expected);
        }
    }
}
