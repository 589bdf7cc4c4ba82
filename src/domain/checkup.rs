//! What a look at a whole installation finds, with what to do about it.

use super::words::words;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub area: Area,
    pub grade: Grade,
    /// One line, in lower case.
    pub text: String,
    /// What to do, in one line that can often be copied.
    pub remedy: Option<String>,
}

/// How bad it is.
// A new grade also needs its word in `Grade::NAMES` and its paint in `cli/doctor.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Good,
    /// Worth knowing; nothing is wrong.
    Note,
    /// It works, and will fail one day or behave unexpectedly.
    Warning,
    /// Something does not work.
    Error,
}

/// What it is about.
// A new area also needs its word in `Area::NAMES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    Home,
    Config,
    Owner,
    Database,
    Disk,
    Limits,
    Service,
    Environment,
    Clock,
    Servers,
    Devices,
    Orphans,
}

impl Grade {
    /// Every grade with its word.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::Good, "good"),
        (Self::Note, "note"),
        (Self::Warning, "warning"),
        (Self::Error, "error"),
    ];
}

impl Area {
    /// Every area with its word.
    pub const NAMES: [(Self, &'static str); 12] = [
        (Self::Home, "home"),
        (Self::Config, "config"),
        (Self::Owner, "owner"),
        (Self::Database, "database"),
        (Self::Disk, "disk"),
        (Self::Limits, "limits"),
        (Self::Service, "service"),
        (Self::Environment, "environment"),
        (Self::Clock, "clock"),
        (Self::Servers, "servers"),
        (Self::Devices, "devices"),
        (Self::Orphans, "orphans"),
    ];
}

words!(Grade);
words!(Area);

impl Found {
    #[must_use]
    pub fn new(area: Area, grade: Grade, text: impl Into<String>) -> Self {
        Self {
            area,
            grade,
            text: text.into(),
            remedy: None,
        }
    }

    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
