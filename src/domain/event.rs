//! The event feed: a closed list of what can happen.

use super::instance::InstanceName;
use super::words::words;

/// How loudly an event speaks.
// A new level also needs a row in `Level::NAMES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A state changed.
    Info,
    /// We recovered.
    Warning,
    /// A person must act.
    Error,
}

/// Every kind of event there is; the word is what `--type` filters by.
// A new kind also needs a row in `EventType::NAMES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    OwnerStarted,
    OwnerStopped,
    Started,
    StartFailed,
    Stopping,
    Stopped,
    Crashed,
    RestartScheduled,
    GaveUp,
    Adopted,
    Reattached,
    HealthChanged,
    ConfigChanged,
    ConfigBroken,
    OrphanFound,
    OrphanStopped,
    PortTaken,
    LogDropped,
    DatabaseDegraded,
    DatabaseRecovered,
    Reconciled,
    WorkUnitCreated,
    WorkUnitChanged,
    WorkUnitNeedsAttention,
    WorkUnitDone,
    WorkUnitDeleted,
}

/// Something that happened, ready to be stored and shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Rising number in the order of happening; 0 until the store gives it one.
    pub id: i64,
    /// Unix seconds.
    pub at: f64,
    pub instance: Option<InstanceName>,
    pub level: Level,
    pub kind: EventType,
    pub message: String,
}

/// Which events are asked for.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct EventFilter {
    pub instance: Option<InstanceName>,
    /// At least this loud.
    pub level: Option<Level>,
    /// Empty means all.
    pub kinds: Vec<EventType>,
    /// Unix seconds.
    pub since: Option<f64>,
    /// With it the oldest `limit` events after that number are returned, without it the newest.
    pub after_id: Option<i64>,
    /// Only events before that number.
    pub before_id: Option<i64>,
    /// `None` means 100.
    pub limit: Option<u32>,
}

impl EventFilter {
    /// Returns whether an event is asked for, by all but the limit.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        (self.instance.is_none() || self.instance == event.instance)
            && self.level.is_none_or(|level| event.level >= level)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.since.is_none_or(|since| event.at >= since)
            && self.after_id.is_none_or(|id| event.id > id)
            && self.before_id.is_none_or(|id| event.id < id)
    }
}

impl Level {
    /// Every level with its word.
    pub const NAMES: [(Self, &'static str); 3] = [
        (Self::Info, "info"),
        (Self::Warning, "warning"),
        (Self::Error, "error"),
    ];
}

impl EventType {
    /// Every kind with its word.
    pub const NAMES: [(Self, &'static str); 26] = [
        (Self::OwnerStarted, "owner_started"),
        (Self::OwnerStopped, "owner_stopped"),
        (Self::Started, "started"),
        (Self::StartFailed, "start_failed"),
        (Self::Stopping, "stopping"),
        (Self::Stopped, "stopped"),
        (Self::Crashed, "crashed"),
        (Self::RestartScheduled, "restart_scheduled"),
        (Self::GaveUp, "gave_up"),
        (Self::Adopted, "adopted"),
        (Self::Reattached, "reattached"),
        (Self::HealthChanged, "health_changed"),
        (Self::ConfigChanged, "config_changed"),
        (Self::ConfigBroken, "config_broken"),
        (Self::OrphanFound, "orphan_found"),
        (Self::OrphanStopped, "orphan_stopped"),
        (Self::PortTaken, "port_taken"),
        (Self::LogDropped, "log_dropped"),
        (Self::DatabaseDegraded, "database_degraded"),
        (Self::DatabaseRecovered, "database_recovered"),
        (Self::Reconciled, "reconciled"),
        (Self::WorkUnitCreated, "work_unit_created"),
        (Self::WorkUnitChanged, "work_unit_changed"),
        (Self::WorkUnitNeedsAttention, "work_unit_needs_attention"),
        (Self::WorkUnitDone, "work_unit_done"),
        (Self::WorkUnitDeleted, "work_unit_deleted"),
    ];

    /// Returns the words of all kinds, separated by commas.
    #[must_use]
    pub fn words() -> String {
        Self::NAMES.map(|(_, word)| word).join(", ")
    }
}

words!(Level);
words!(EventType);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_that_reads_back() {
        for (kind, word) in EventType::NAMES {
            assert_eq!(kind.as_str(), word);
            assert_eq!(EventType::parse(word), Some(kind));
        }
    }
}
