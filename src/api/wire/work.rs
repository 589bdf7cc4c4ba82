//! Work units on the wire.
//!
//! Requests say no more than they know: an unknown key is refused, because a misspelt
//! `blocked_by` that is silently ignored would let a unit begin too early.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{StopModeBody, allowed, rfc3339};
use crate::domain::instance::{InstanceName, InvalidName};
use crate::domain::run::{RunId, StopMode};
use crate::domain::work::{
    Chunk, Draft, Edit, InvalidChunk, InvalidCommand, InvalidLimit, Phase, PhaseCommand,
    StatusChange, TimeLimit, WorkCounts, WorkSnapshot, WorkStatus, WorkUnit,
};

/// The longest path the kernel takes.
pub(super) const PATH_LIMIT: usize = 4096;

/// The query of `GET /work-units`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WorkUnitsQuery {
    /// Statuses, separated by commas.
    #[param(schema_with = allowed::status_list)]
    pub status: Option<String>,
    /// Wait until the units are newer than this generation.
    pub after: Option<u64>,
    pub wait_ms: Option<u64>,
}

/// `GET /work-units`, in the order they were created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkUnitsBody {
    pub generation: u64,
    /// Of all units, also of those that were not asked for.
    pub counts: WorkCountsBody,
    pub units: Vec<WorkUnitBody>,
}

/// How many units there are of each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkCountsBody {
    pub ready: usize,
    pub running: usize,
    pub blocked: usize,
    pub needs_attention: usize,
    pub done: usize,
}

/// One work unit; also what `work-unit show --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkUnitBody {
    #[schema(schema_with = allowed::chunk)]
    pub chunk: String,
    #[schema(schema_with = allowed::phase)]
    pub phase: String,
    #[schema(schema_with = allowed::status)]
    pub status: String,
    #[schema(schema_with = allowed::chunks)]
    pub blocked_by: Vec<String>,
    /// Those of `blocked_by` that are not DONE.
    #[schema(schema_with = allowed::chunks)]
    pub waits_for: Vec<String>,
    pub worktree: Option<String>,
    pub instance: Option<String>,
    /// Program and arguments, by phase.
    #[schema(schema_with = allowed::commands)]
    pub commands: BTreeMap<String, Vec<String>>,
    /// Seconds the command of one phase may run; 0 means no limit, null what `work.time_limit` says.
    pub time_limit: Option<f64>,
    /// What the owner waits for before it runs the command of a READY unit.
    pub waiting: Option<String>,
    /// Why it needs attention.
    pub reason: Option<String>,
    /// The command's own words.
    pub evidence: Option<String>,
    pub remedy: Option<String>,
    /// The owner's run whose command may still be alive; null when somebody else works on it.
    pub run_id: Option<String>,
    /// RFC 3339, as all times here.
    pub created_at: String,
    pub updated_at: String,
    /// When status or phase changed last.
    pub since: String,
}

/// The answer to a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkAnswerBody {
    /// The unit as it is now; of a deleted one, as it was.
    #[serde(flatten)]
    pub unit: WorkUnitBody,
    /// The first generation of the work units that shows the effect.
    pub generation: u64,
}

/// `POST /work-units`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkUnit {
    #[schema(schema_with = allowed::chunk)]
    pub chunk: String,
    /// `GOAL` when absent.
    #[serde(default)]
    #[schema(schema_with = allowed::phase_or_null)]
    pub phase: Option<String>,
    #[serde(default)]
    #[schema(schema_with = allowed::chunks)]
    pub blocked_by: Vec<String>,
    /// Absolute.
    #[serde(default)]
    #[schema(schema_with = allowed::worktree_or_null)]
    pub worktree: Option<String>,
    #[serde(default)]
    #[schema(schema_with = allowed::instance_or_null)]
    pub instance: Option<String>,
    /// Program and arguments, by phase.
    #[serde(default)]
    #[schema(schema_with = allowed::commands)]
    pub commands: BTreeMap<String, Vec<String>>,
    /// Seconds the command of one phase may run; 0 means no limit, absent what `work.time_limit`
    /// says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 2_592_000)]
    pub time_limit: Option<f64>,
}

/// `PATCH /work-units/{chunk}`: what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkUnitPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = allowed::status_or_null)]
    pub status: Option<String>,
    /// Goes with the status `NEEDS_ATTENTION`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How the command that the owner runs for it is stopped, gently when absent; goes with the
    /// status `NEEDS_ATTENTION`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopModeBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = allowed::phase_or_null)]
    pub phase: Option<String>,
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = allowed::chunks_or_null)]
    pub blocked_by: Option<Vec<String>>,
    /// Null for none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schema(schema_with = allowed::worktree_or_null)]
    pub worktree: Option<Option<String>>,
    /// Null for none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schema(schema_with = allowed::instance_or_null)]
    pub instance: Option<Option<String>>,
    /// Only the phases that are named; null for no more command.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(schema_with = allowed::commands_or_none)]
    pub commands: BTreeMap<String, Option<Vec<String>>>,
    /// Seconds the command of one phase may run; 0 means no limit, null what `work.time_limit`
    /// says. It counts for a command that runs already, too.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schema(minimum = 0, maximum = 2_592_000)]
    pub time_limit: Option<Option<f64>>,
}

/// The query of `DELETE /work-units/{chunk}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// Also when others wait for it: they wait for it no longer.
    #[serde(default)]
    pub force: bool,
}

/// The query of `GET /work-units/{chunk}/history`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WorkHistoryQuery {
    pub limit: Option<u32>,
}

/// `GET /work-units/{chunk}/history`: the status log, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkHistoryBody {
    pub changes: Vec<StatusChangeBody>,
}

/// One line of the status log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusChangeBody {
    /// RFC 3339.
    pub timestamp: String,
    /// Null when the unit was created.
    pub old_status: Option<String>,
    pub old_phase: Option<String>,
    /// Null when the unit was deleted.
    pub new_status: Option<String>,
    pub new_phase: Option<String>,
    pub reason: Option<String>,
    pub run_id: Option<String>,
}

/// A request that breaks a rule for the words in it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidWork {
    #[error(transparent)]
    Chunk(#[from] InvalidChunk),
    #[error(transparent)]
    Instance(#[from] InvalidName),
    #[error("{word:?} is no status: {}", words(WorkStatus::NAMES))]
    Status { word: String },
    #[error("{word:?} is no phase: {}", words(Phase::NAMES))]
    Phase { word: String },
    #[error("{why} (phase {phase})")]
    Command { phase: Phase, why: InvalidCommand },
    #[error(transparent)]
    TimeLimit(#[from] InvalidLimit),
    #[error("{text:?} is not a worktree: an absolute path of at most {PATH_LIMIT} bytes")]
    Worktree { text: String },
}

fn words<T, const COUNT: usize>(names: [(T, &'static str); COUNT]) -> String {
    names.map(|(_, word)| word).join(", ")
}

/// Tells null, which is something, from absent.
fn present<'de, T, D>(field: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(field).map(Some)
}

fn parse_status(word: &str) -> Result<WorkStatus, InvalidWork> {
    WorkStatus::parse(word).ok_or_else(|| InvalidWork::Status {
        word: word.to_owned(),
    })
}

fn parse_phase(word: &str) -> Result<Phase, InvalidWork> {
    Phase::parse(word).ok_or_else(|| InvalidWork::Phase {
        word: word.to_owned(),
    })
}

fn parse_worktree(text: &str) -> Result<PathBuf, InvalidWork> {
    if text.len() > PATH_LIMIT || text.contains('\0') || !Path::new(text).is_absolute() {
        return Err(InvalidWork::Worktree {
            text: text.to_owned(),
        });
    }
    Ok(PathBuf::from(text))
}

fn parse_command(phase: &str, argv: &[String]) -> Result<(Phase, PhaseCommand), InvalidWork> {
    let phase = parse_phase(phase)?;
    let command = PhaseCommand::parse(argv.to_vec());
    let command = command.map_err(|why| InvalidWork::Command { phase, why })?;
    Ok((phase, command))
}

fn parse_chunks<T: FromIterator<Chunk>>(names: &[String]) -> Result<T, InvalidChunk> {
    names.iter().map(|name| Chunk::parse(name)).collect()
}

impl WorkUnitsQuery {
    /// Reads the statuses that are asked for; empty means all.
    ///
    /// # Errors
    ///
    /// Returns the word that is no status.
    pub fn statuses(&self) -> Result<Vec<WorkStatus>, InvalidWork> {
        let words = self.status.iter().flat_map(|words| words.split(','));
        words.map(parse_status).collect()
    }
}

impl NewWorkUnit {
    /// Reads what is to be created.
    ///
    /// # Errors
    ///
    /// Returns the first word that breaks its rule.
    pub fn draft(&self) -> Result<Draft, InvalidWork> {
        let phase = self.phase.as_deref().map(parse_phase).transpose()?;
        let commands = self.commands.iter();
        Ok(Draft {
            chunk: Chunk::parse(&self.chunk)?,
            phase: phase.unwrap_or(Phase::Goal),
            blocked_by: parse_chunks(&self.blocked_by)?,
            worktree: self.worktree.as_deref().map(parse_worktree).transpose()?,
            instance: self
                .instance
                .as_deref()
                .map(InstanceName::parse)
                .transpose()?,
            commands: commands
                .map(|(phase, argv)| parse_command(phase, argv))
                .collect::<Result<_, _>>()?,
            time_limit: self.time_limit.map(TimeLimit::of_seconds).transpose()?,
        })
    }
}

impl WorkUnitPatch {
    /// Reads what is to be changed.
    ///
    /// # Errors
    ///
    /// Returns the first word that breaks its rule.
    pub fn edit(&self) -> Result<Edit, InvalidWork> {
        let worktree = self.worktree.as_ref().map(|path| {
            let path = path.as_deref();
            path.map(parse_worktree).transpose()
        });
        let instance = self.instance.as_ref().map(|name| {
            let name = name.as_deref();
            name.map(InstanceName::parse).transpose()
        });
        let limit = |seconds: Option<f64>| seconds.map(TimeLimit::of_seconds).transpose();
        let blocked_by = self.blocked_by.as_deref().map(parse_chunks);
        let command = |(phase, argv): (&String, &Option<Vec<String>>)| match argv {
            Some(argv) => parse_command(phase, argv).map(|(phase, command)| (phase, Some(command))),
            None => parse_phase(phase).map(|phase| (phase, None)),
        };
        Ok(Edit {
            status: self.status.as_deref().map(parse_status).transpose()?,
            reason: self.reason.clone(),
            stop: self.stop.map(StopMode::from),
            phase: self.phase.as_deref().map(parse_phase).transpose()?,
            blocked_by: blocked_by.transpose()?,
            worktree: worktree.transpose()?,
            instance: instance.transpose()?,
            commands: self
                .commands
                .iter()
                .map(command)
                .collect::<Result<_, _>>()?,
            time_limit: self.time_limit.map(limit).transpose()?,
        })
    }
}

impl WorkUnitsBody {
    /// Converts the units of these statuses; none means all.
    #[must_use]
    pub fn of(snapshot: &WorkSnapshot, statuses: &[WorkStatus]) -> Self {
        let asked = |unit: &&WorkUnit| statuses.is_empty() || statuses.contains(&unit.status());
        let open = open(snapshot);
        Self {
            generation: snapshot.generation,
            counts: WorkCounts::of(&snapshot.units).into(),
            units: snapshot
                .units
                .iter()
                .filter(asked)
                .map(|unit| WorkUnitBody::with(unit, snapshot, &open))
                .collect(),
        }
    }
}

/// The units that are not DONE.
fn open(snapshot: &WorkSnapshot) -> HashSet<&Chunk> {
    let units = snapshot.units.iter();
    units
        .filter(|unit| unit.status() != WorkStatus::Done)
        .map(|unit| &unit.chunk)
        .collect()
}

impl WorkUnitBody {
    /// Converts a unit; the snapshot says which of those it waits for are DONE.
    #[must_use]
    pub fn of(unit: &WorkUnit, snapshot: &WorkSnapshot) -> Self {
        Self::with(unit, snapshot, &open(snapshot))
    }

    fn with(unit: &WorkUnit, snapshot: &WorkSnapshot, open: &HashSet<&Chunk>) -> Self {
        let why = unit.state.attention();
        Self {
            chunk: unit.chunk.to_string(),
            phase: unit.phase.to_string(),
            status: unit.status().to_string(),
            blocked_by: unit.blocked_by.iter().map(Chunk::to_string).collect(),
            waits_for: unit
                .blocked_by
                .iter()
                .filter(|name| open.contains(name))
                .map(Chunk::to_string)
                .collect(),
            worktree: unit
                .worktree
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned()),
            instance: unit.instance.as_ref().map(InstanceName::to_string),
            commands: unit
                .commands
                .iter()
                .map(|(phase, command)| (phase.to_string(), command.argv().to_vec()))
                .collect(),
            time_limit: unit.time_limit.map(TimeLimit::seconds),
            waiting: snapshot.waits.get(&unit.chunk).cloned(),
            reason: why.map(|why| why.summary.clone()),
            evidence: why.and_then(|why| why.evidence.clone()),
            remedy: why.and_then(|why| why.remedy.clone()),
            run_id: unit.state.run().map(RunId::to_string),
            created_at: rfc3339(unit.created_at),
            updated_at: rfc3339(unit.updated_at),
            since: rfc3339(unit.since),
        }
    }
}

impl From<WorkCounts> for WorkCountsBody {
    fn from(counts: WorkCounts) -> Self {
        Self {
            ready: counts.ready,
            running: counts.running,
            blocked: counts.blocked,
            needs_attention: counts.needs_attention,
            done: counts.done,
        }
    }
}

impl From<&StatusChange> for StatusChangeBody {
    fn from(change: &StatusChange) -> Self {
        let status =
            |place: Option<(WorkStatus, Phase)>| place.map(|(status, _)| status.to_string());
        let phase = |place: Option<(WorkStatus, Phase)>| place.map(|(_, phase)| phase.to_string());
        Self {
            timestamp: rfc3339(change.at),
            old_status: status(change.from),
            old_phase: phase(change.from),
            new_status: status(change.to),
            new_phase: phase(change.to),
            reason: change.reason.clone(),
            run_id: change.run.as_ref().map(RunId::to_string),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn patch(json: &str) -> Result<Edit, String> {
        let patch: WorkUnitPatch = serde_json::from_str(json).map_err(|error| error.to_string())?;
        patch.edit().map_err(|error| error.to_string())
    }

    #[test]
    fn a_patch_tells_null_from_absent() {
        assert_eq!(patch("{}"), Ok(Edit::default()));
        let edit = patch(r#"{"worktree": null, "commands": {"PLAN": null}}"#).expect("a patch");
        assert_eq!(edit.worktree, Some(None));
        assert_eq!(edit.time_limit, None);
        let limits = [
            (r#"{"time_limit": null}"#, None),
            (r#"{"time_limit": 0}"#, Some(TimeLimit::Endless)),
            (
                r#"{"time_limit": 1.5}"#,
                Some(TimeLimit::Of(Duration::from_millis(1500))),
            ),
        ];
        for (json, expected) in limits {
            let edit = patch(json).expect(json);
            assert_eq!(edit.time_limit, Some(expected), "{json}");
        }
        assert_eq!(edit.instance, None);
        assert_eq!(edit.commands, BTreeMap::from([(Phase::Plan, None)]));
    }

    #[test]
    fn a_wrong_word_is_answered_with_what_is_allowed() {
        let rows = [
            (
                r#"{"status": "done"}"#,
                "\"done\" is no status: READY, RUNNING, BLOCKED, ",
            ),
            (
                r#"{"phase": "TEST"}"#,
                "\"TEST\" is no phase: GOAL, PLAN, IMPLEMENT, COMPLETE",
            ),
            (
                r#"{"blocked_by": ["A"]}"#,
                "\"A\" is not the name of a work unit: 1 to 64 of ",
            ),
            (
                r#"{"worktree": "here"}"#,
                "\"here\" is not a worktree: an absolute path of ",
            ),
            (r#"{"instance": "-"}"#, "\"-\" is not a name: 1 to 64 of "),
            (
                r#"{"commands": {"PLAN": []}}"#,
                "a command needs a program as its first word (phase PLAN)",
            ),
            (
                r#"{"time_limit": -1}"#,
                "-1 is not a time limit: 0 to 2592000 seconds; 0 means none",
            ),
            (
                r#"{"blockedby": []}"#,
                "unknown field `blockedby`, expected one of ",
            ),
        ];
        for (json, expected) in rows {
            let told = patch(json).expect_err(json);
            assert!(told.starts_with(expected), "{json}: {told}");
        }
    }
}
