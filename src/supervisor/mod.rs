//! The one writer of fleet state.
//!
//! [`policy`] decides, [`actor`] carries out, [`handle`] is what everybody else holds.

pub mod actor;
pub mod builds;
pub mod claims;
mod clock;
mod columns;
mod config_reader;
mod config_watch;
pub mod configs;
pub mod crashes;
pub mod decision;
pub mod ends;
pub mod feed;
pub mod fit;
pub mod handle;
pub mod launch;
pub mod log_files;
mod logged;
mod measure;
pub mod plan;
pub mod policy;
#[cfg(test)]
mod policy_tests;
mod preflight;
mod probing;
mod reconcile;
mod record;
mod start;
pub mod state;
pub mod tally;
pub mod work;

use std::collections::BTreeSet;

use crate::domain::instance::InstanceName;

pub use preflight::obstacle;
pub use probing::{Endpoint, probe_once};
pub use start::{StartError, start};

/// Which instances an owner decides for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the home.
    Fleet,
    /// Those that a one-shot command names; the others are only shown.
    Only(BTreeSet<InstanceName>),
}

impl Scope {
    /// Returns whether the owner may start, stop, restart and probe this instance.
    #[must_use]
    pub fn covers(&self, name: &InstanceName) -> bool {
        match self {
            Self::Fleet => true,
            Self::Only(names) => names.contains(name),
        }
    }

    fn include(&mut self, name: &InstanceName) {
        match self {
            Self::Fleet => {}
            Self::Only(names) => {
                names.insert(name.clone());
            }
        }
    }
}

/// Unix seconds now; for display only.
#[must_use]
pub fn wall_clock() -> f64 {
    clock::wall()
}
