//! What it would take to make a running instance what its file says.

use std::collections::BTreeMap;

use super::state::{Config, Fleet, Instance};
use crate::config::drift::{self, FieldChange};
use crate::config::dynamic::dynamic_fields;
use crate::domain::instance::InstanceName;

/// The difference between an instance and its file, and what would remove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub name: InstanceName,
    pub step: Step,
    pub changes: Vec<Change>,
    /// Why the file cannot be used.
    pub problem: Option<String>,
}

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It runs what its file says, or will when it is started.
    Nothing,
    /// The running instance takes it over as it is.
    Live,
    Restart,
    /// Nothing can be done before the file is repaired.
    Repair,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub field: FieldChange,
    pub needs: Needs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    Restart,
}

impl Step {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Live => "live",
            Self::Restart => "restart",
            Self::Repair => "repair",
        }
    }
}

impl Needs {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Restart => "restart",
        }
    }
}

/// Plans every instance by its file as it is now, in the order of their names.
#[must_use]
pub fn plans(fleet: &Fleet, files: &BTreeMap<InstanceName, Config>) -> Vec<Plan> {
    let gone = Config::Gone { last: None };
    let instances = fleet.instances.iter();
    instances
        .map(|(name, instance)| plan(name, instance, files.get(name).unwrap_or(&gone)))
        .collect()
}

/// Plans one instance.
#[must_use]
pub fn plan(name: &InstanceName, instance: &Instance, file: &Config) -> Plan {
    let mut plan = Plan {
        name: name.clone(),
        step: Step::Nothing,
        changes: Vec::new(),
        problem: file.problem(),
    };
    let Config::Ready(wanted) = file else {
        plan.step = Step::Repair;
        return plan;
    };
    // Without a run there is nothing that differs: a start takes the file as it is.
    if instance.phase.run().is_none() {
        return plan;
    }
    let present = instance.config.spec();
    let live = present.map_or_else(Vec::new, |present| {
        drift::drift(&dynamic_fields(present), &dynamic_fields(wanted))
    });
    let started_with = match (instance.phase.up(), present) {
        // A run of an older version may have remembered nothing.
        (Some(up), _) if up.started_with.is_empty() => None,
        (Some(up), _) => Some(up.started_with.clone()),
        (None, present) => present.map(|present| drift::static_fields(present)),
    };
    let fixed = started_with.map_or_else(Vec::new, |started_with| {
        drift::drift(&started_with, &drift::static_fields(wanted))
    });
    plan.step = match (live.is_empty(), fixed.is_empty()) {
        (true, true) => Step::Nothing,
        (false, true) => Step::Live,
        (_, false) => Step::Restart,
    };
    let as_change = |needs| move |field| Change { field, needs };
    plan.changes = live
        .into_iter()
        .map(as_change(Needs::Nothing))
        .chain(fixed.into_iter().map(as_change(Needs::Restart)))
        .collect();
    plan
}
