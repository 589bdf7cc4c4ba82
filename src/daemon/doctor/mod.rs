//! A look at the whole installation: what is wrong, what will be, and what to do about it.
//!
//! Each file looks at one kind of thing and returns plain findings; nothing is changed, no server is
//! asked and no lock is tried. A new check is a function in the file of its kind, called from that
//! file's `look`. Blocking.

mod home;
mod limits;
mod machine;
mod servers;
mod service;
mod sources;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use self::sources::{Sources, User};

use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::domain::checkup::Found;
use crate::domain::readings::HostReadings;

/// Where to look.
pub struct Patient<'a> {
    pub home: &'a Home,
    pub host: &'a HostReadings,
    pub owner: OwnerSeen,
    pub sources: &'a Sources,
    /// Unix seconds.
    pub now: f64,
}

/// Whether somebody owns the home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerSeen {
    /// Its pid, and whether this version speaks with it.
    Answers {
        pid: u32,
        database: String,
        /// Why the API is not as the settings say.
        api: Option<String>,
    },
    /// Something listens and does not answer as an owner should.
    Broken {
        why: String,
    },
    Nobody,
}

/// What every check gets.
struct Case<'a> {
    patient: &'a Patient<'a>,
    set: ConfigSet,
    state_dir: PathBuf,
}

/// Looks at everything, in the order of [`crate::domain::checkup::Area`].
#[must_use]
pub fn examine(patient: &Patient<'_>) -> Vec<Found> {
    let case = Case {
        set: load::load(patient.home),
        state_dir: patient.home.state_dir(),
        patient,
    };
    let mut found = Vec::new();
    home::look(&case, &mut found);
    limits::look(&case, &mut found);
    service::look(&case, &mut found);
    machine::look(&case, &mut found);
    servers::look(&case, &mut found);
    found.sort_by_key(|one| one.area);
    found
}

impl Case<'_> {
    fn sources(&self) -> &Sources {
        self.patient.sources
    }

    /// Returns how many instances there are, in words.
    fn instances(&self) -> String {
        match self.set.rows.len() {
            1 => "1 instance".to_owned(),
            count => format!("{count} instances"),
        }
    }

    fn specs(&self) -> impl Iterator<Item = &crate::domain::instance::InstanceSpec> {
        self.set
            .rows
            .iter()
            .filter_map(|row| row.as_ref().ok())
            .map(|loaded| &loaded.spec)
    }
}
