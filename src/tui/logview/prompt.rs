//! What is typed in the last row of the log: a search, a filter, a time, a file name.

use std::path::PathBuf;

use crossterm::event::{Event, KeyCode, KeyEvent};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, Zoned};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler as _;

use super::ask::Save;
use super::find::{self, Find};
use super::{LogEffect, LogView};
use crate::domain::log::Whose;
use crate::tui::model::Now;

/// What is being typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Kind {
    Search,
    Filter,
    Time,
    Save,
}

#[derive(Clone, Debug)]
pub(in crate::tui) struct Prompt {
    pub(in crate::tui) kind: Kind,
    pub(in crate::tui) input: Input,
    /// What is wrong with it.
    pub(in crate::tui) complaint: Option<String>,
    /// When it was opened.
    now: Timestamp,
}

impl Kind {
    pub(in crate::tui) fn label(self) -> &'static str {
        match self {
            Self::Search => "/",
            Self::Filter => "&",
            Self::Time => "go to time: ",
            Self::Save => "save to: ",
        }
    }

    pub(in crate::tui) fn help(self) -> &'static str {
        match self {
            Self::Search => "a regular expression; Enter searches",
            Self::Filter => "only lines that match, ! for those that do not; empty shows all",
            Self::Time => "12:04, 12:04:30, -10m, or a date and time",
            Self::Save => "the lines as they are filtered now; Enter writes",
        }
    }
}

impl LogView {
    pub(super) fn ask_for(&mut self, kind: Kind, now: Now, zone: &TimeZone) -> Vec<LogEffect> {
        let now = Timestamp::from_microsecond((now.wall * 1e6) as i64).unwrap_or_default();
        let before = match kind {
            Kind::Search | Kind::Time => String::new(),
            Kind::Filter => self.filter.as_ref().map_or_else(String::new, find::typed),
            Kind::Save => {
                let name = match &self.whose {
                    Some(Whose::Instance(name)) => name.as_str(),
                    Some(Whose::Unit(chunk)) => chunk.as_str(),
                    None => "log",
                };
                let time = now.to_zoned(zone.clone()).strftime("%Y%m%d-%H%M%S");
                format!("{name}-{time}.log")
            }
        };
        self.prompt = Some(Prompt {
            kind,
            input: Input::new(before),
            complaint: None,
            now,
        });
        self.settle()
    }

    /// Types into the open prompt.
    pub(in crate::tui) fn text(&mut self, key: KeyEvent, zone: &TimeZone) -> Vec<LogEffect> {
        self.told = None;
        let effects = self.typed(key, zone);
        self.keep_end();
        effects
    }

    fn typed(&mut self, key: KeyEvent, zone: &TimeZone) -> Vec<LogEffect> {
        let Some(prompt) = &mut self.prompt else {
            return Vec::new();
        };
        match key.code {
            KeyCode::Esc => {
                self.prompt = None;
                self.settle()
            }
            KeyCode::Enter => self.enter(zone),
            _ => {
                prompt.complaint = None;
                prompt.input.handle_event(&Event::Key(key));
                Vec::new()
            }
        }
    }

    /// Types a pasted text.
    pub(in crate::tui) fn paste(&mut self, text: &str) {
        if let Some(prompt) = &mut self.prompt {
            let mut joined = prompt.input.value().to_owned();
            joined.extend(text.chars().filter(|character| !character.is_control()));
            prompt.input = Input::new(joined);
            prompt.complaint = None;
        }
    }

    fn enter(&mut self, zone: &TimeZone) -> Vec<LogEffect> {
        let Some(prompt) = self.prompt.take() else {
            return Vec::new();
        };
        let text = prompt.input.value().to_owned();
        let done = match prompt.kind {
            Kind::Search if text.is_empty() => {
                self.find = None;
                Ok(Vec::new())
            }
            Kind::Search => Find::parse(&text).map(|find| self.begin_find(find)),
            Kind::Filter if text.trim_start_matches('!').is_empty() => Ok(self.set_filter(None)),
            Kind::Filter => find::filter(&text).map(|filter| self.set_filter(Some(filter))),
            Kind::Time => time_of(&text, prompt.now, zone).map(|millis| self.go_to(millis)),
            Kind::Save => self.save(text.trim()),
        };
        match done {
            Ok(mut effects) => {
                effects.extend(self.settle());
                effects
            }
            Err(complaint) => {
                self.prompt = Some(Prompt {
                    complaint: Some(complaint),
                    ..prompt
                });
                Vec::new()
            }
        }
    }

    fn save(&self, path: &str) -> Result<Vec<LogEffect>, String> {
        if path.is_empty() {
            return Err("a file name is needed".to_owned());
        }
        let Some(whose) = self.whose.clone() else {
            return Ok(Vec::new());
        };
        Ok(vec![LogEffect::Save(Save {
            whose,
            streams: self.streams,
            filter: self.filter.clone(),
            from: self.floor,
            path: PathBuf::from(path),
        })])
    }
}

/// Reads a time of day (the last one that has been), a span back from now, or a whole date into
/// unix milliseconds.
fn time_of(text: &str, now: Timestamp, zone: &TimeZone) -> Result<u64, String> {
    let text = text.trim();
    let moment = back_from(text, now)
        .or_else(|| day_time(text, &now.to_zoned(zone.clone())))
        .or_else(|| text.parse().ok())
        .or_else(|| {
            let date: jiff::civil::DateTime = text.replacen(' ', "T", 1).parse().ok()?;
            Some(date.to_zoned(zone.clone()).ok()?.timestamp())
        });
    moment
        .and_then(|moment| u64::try_from(moment.as_millisecond()).ok())
        .ok_or_else(|| format!("{text:?} is no time: {}", Kind::Time.help()))
}

fn back_from(text: &str, now: Timestamp) -> Option<Timestamp> {
    let span: SignedDuration = text.strip_prefix('-')?.trim().parse().ok()?;
    now.checked_sub(span).ok()
}

fn day_time(text: &str, now: &Zoned) -> Option<Timestamp> {
    // A date with a time would be read as a time as well.
    if text.contains('-') {
        return None;
    }
    let padded = if text.find(':') == Some(1) {
        format!("0{text}")
    } else {
        text.to_owned()
    };
    let time: Time = padded.parse().ok()?;
    let today = now.with().time(time).build().ok()?;
    let last = if today > *now {
        today.checked_sub(1.day()).ok()?
    } else {
        today
    };
    Some(last.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_type_them() {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().expect("a time");
        for (text, expected) in [
            ("11:59", "2026-11-27T11:59:00Z"),
            ("9:30", "2026-11-27T09:30:00Z"),
            ("11:59:58", "2026-11-27T11:59:58Z"),
            ("12:01", "2026-11-26T12:01:00Z"),
            ("-10m", "2026-11-27T11:50:00Z"),
            (" -1h 30m ", "2026-11-27T10:30:00Z"),
            ("2026-11-20 08:00", "2026-11-20T08:00:00Z"),
            ("2026-11-20T08:00:00+02:00", "2026-11-20T06:00:00Z"),
        ] {
            let expected: Timestamp = expected.parse().expect("a time");
            let millis = u64::try_from(expected.as_millisecond()).expect("after 1970");
            assert_eq!(time_of(text, now, &TimeZone::UTC), Ok(millis), "{text}");
        }
        for text in ["", "noon", "25:00", "-", "10m"] {
            assert!(time_of(text, now, &TimeZone::UTC).is_err(), "{text}");
        }
    }
}
