//! How long the command of a phase may run, and what is told of one that ran longer.

use std::time::Duration;

use super::{Attention, Chunk, WorkUnit};
use crate::domain::units::duration;

/// Thirty days; a longer wait is a forgotten one.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// A command that wrote nothing for this part of its time or longer is told to have been silent.
const SILENT_PART: u32 = 4;

/// How long the command of one phase may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    Endless,
    Of(Duration),
}

/// The number of seconds is not a time limit.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{seconds} is not a time limit: 0 to {} seconds; 0 means none", LONGEST.as_secs())]
pub struct InvalidLimit {
    seconds: f64,
}

/// Who set a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitOf {
    Unit,
    Home,
}

impl TimeLimit {
    /// The most seconds a limit may have.
    pub const MOST_SECONDS: f64 = LONGEST.as_secs() as f64;

    /// Reads seconds; 0 means that there is no limit.
    ///
    /// # Errors
    ///
    /// Returns the number when it is negative or too large.
    pub fn of_seconds(seconds: f64) -> Result<Self, InvalidLimit> {
        match Duration::try_from_secs_f64(seconds) {
            Ok(Duration::ZERO) => Ok(Self::Endless),
            Ok(time) if time <= LONGEST => Ok(Self::Of(time)),
            Ok(_) | Err(_) => Err(InvalidLimit { seconds }),
        }
    }

    /// Returns the seconds; 0 when there is no limit.
    #[must_use]
    pub fn seconds(self) -> f64 {
        match self {
            Self::Endless => 0.0,
            Self::Of(time) => time.as_secs_f64(),
        }
    }
}

impl WorkUnit {
    /// Returns how long its command may run and who said so; the unit's own limit comes before
    /// that of the home.
    #[must_use]
    pub fn limit(&self, of_home: TimeLimit) -> Option<(Duration, LimitOf)> {
        let (limit, whose) = match self.time_limit {
            Some(own) => (own, LimitOf::Unit),
            None => (of_home, LimitOf::Home),
        };
        match limit {
            TimeLimit::Endless => None,
            TimeLimit::Of(time) => Some((time, whose)),
        }
    }
}

/// Explains why a command is ended: it ran longer than it may. `silent` is the time since it wrote
/// its last line.
#[must_use]
pub fn overdue(
    chunk: &Chunk,
    (time, whose): (Duration, LimitOf),
    silent: Option<Duration>,
    lines: &[String],
) -> Attention {
    let silent = silent.filter(|silent| *silent >= time / SILENT_PART);
    let hung = silent.map_or_else(String::new, |silent| {
        format!(
            ", and wrote nothing for the last {}",
            duration(silent.as_secs_f64())
        )
    });
    let of = match whose {
        LimitOf::Unit => "its time limit",
        LimitOf::Home => "work.time_limit",
    };
    let summary = format!(
        "its command ran longer than {} ({of}){hung}",
        duration(time.as_secs_f64())
    );
    let longer = match whose {
        LimitOf::Unit => "",
        LimitOf::Home => ", or raise work.time_limit",
    };
    let remedy = format!(
        "see what it hung on: llama-orch work-unit logs {chunk}; give it longer: llama-orch \
         work-unit edit {chunk} --time-limit TIME{longer}; run it again: llama-orch work-unit \
         status {chunk} READY"
    );
    Attention::explained(
        &summary,
        super::ending::last_lines(lines).as_deref(),
        Some(&remedy),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_a_limit_and_0_none() {
        assert_eq!(TimeLimit::of_seconds(0.0), Ok(TimeLimit::Endless));
        let rows = [0.5, 90.0, TimeLimit::MOST_SECONDS];
        for seconds in rows {
            let limit = TimeLimit::of_seconds(seconds);
            assert_eq!(limit.map(TimeLimit::seconds), Ok(seconds));
        }
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(TimeLimit::of_seconds(seconds).is_err(), "{seconds}");
        }
    }

    #[test]
    fn what_ran_too_long_is_told_with_whose_limit_it_was_and_how_silent_it_had_become() {
        let chunk = Chunk::parse("a.b").expect("a name");
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let rows = [
            (
                LimitOf::Home,
                Some(minutes(29)),
                "its command ran longer than 30m00s (work.time_limit), and wrote nothing for the \
                 last 29m00s",
            ),
            (
                LimitOf::Unit,
                Some(minutes(1)),
                "its command ran longer than 30m00s (its time limit)",
            ),
            (
                LimitOf::Unit,
                None,
                "its command ran longer than 30m00s (its time limit)",
            ),
        ];
        for (whose, silent, expected) in rows {
            let lines = ["".to_owned(), "thinks".to_owned()];
            let why = overdue(&chunk, (minutes(30), whose), silent, &lines);
            assert_eq!(why.summary, expected);
            assert_eq!(why.evidence.as_deref(), Some("thinks"));
            let remedy = why.remedy.expect("a remedy");
            assert!(remedy.contains("logs a.b; "), "{remedy}");
            let names_home = remedy.contains("raise work.time_limit");
            assert_eq!(names_home, whose == LimitOf::Home, "{remedy}");
        }
    }
}
