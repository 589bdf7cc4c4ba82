//! Events on the wire.

use serde::{Deserialize, Serialize};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, ToSchema};

use super::{allowed, rfc3339, unix_seconds};
use crate::domain::event::{Event, EventFilter, EventType, Level};
use crate::domain::instance::InstanceName;

/// The query of `GET /events`.
///
/// Without `after` the newest matching events are returned, with it the oldest after that number;
/// then `wait_ms` says how long to wait for the first one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    #[param(schema_with = allowed::instance)]
    pub instance: Option<String>,
    /// The least level.
    #[param(pattern = "^(info|warning|error)$")]
    pub level: Option<String>,
    /// Event types, separated by commas.
    #[serde(rename = "type")]
    #[param(schema_with = allowed::event_type_list)]
    pub kinds: Option<String>,
    /// Unix seconds.
    pub since: Option<f64>,
    pub after: Option<i64>,
    pub limit: Option<u32>,
    pub wait_ms: Option<u64>,
}

/// The query of `GET /instances/{name}/events`, for the document: the path says whose they are.
pub struct InstanceEventsKeys;

impl IntoParams for InstanceEventsKeys {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut keys = EventsQuery::into_params(place);
        keys.retain(|key| key.name != "instance");
        keys
    }
}

/// `GET /events`, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventsBody {
    pub events: Vec<EventBody>,
    /// What to ask after next: every event up to this number was considered.
    #[serde(default)]
    pub last_id: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventBody {
    pub id: i64,
    /// RFC 3339.
    pub ts: String,
    pub instance: Option<String>,
    pub level: String,
    pub event_type: String,
    pub message: String,
}

/// A word of a query that is none of those allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuery {
    #[error("{word:?} is no level: info, warning or error")]
    Level { word: String },
    #[error("{word:?} is no event type: {}", EventType::words())]
    Kind { word: String },
    #[error(transparent)]
    Instance(#[from] crate::domain::instance::InvalidName),
}

impl EventsQuery {
    /// Turns a filter into the query that asks for it.
    #[must_use]
    pub fn of(filter: &EventFilter) -> Self {
        let words: Vec<&str> = filter.kinds.iter().map(|kind| kind.as_str()).collect();
        Self {
            instance: filter.instance.as_ref().map(ToString::to_string),
            level: filter.level.map(|level| level.to_string()),
            kinds: (!words.is_empty()).then(|| words.join(",")),
            since: filter.since,
            after: filter.after_id,
            limit: filter.limit,
            wait_ms: None,
        }
    }

    /// Reads the filter back.
    ///
    /// # Errors
    ///
    /// Returns the word that is not known, with those that are.
    pub fn filter(&self) -> Result<EventFilter, InvalidQuery> {
        let level = self.level.as_deref().map(parse_level).transpose()?;
        let words = self.kinds.iter().flat_map(|words| words.split(','));
        let kinds = words.map(parse_kind).collect::<Result<_, _>>()?;
        Ok(EventFilter {
            instance: self
                .instance
                .as_deref()
                .map(InstanceName::parse)
                .transpose()?,
            level,
            kinds,
            since: self.since,
            after_id: self.after,
            before_id: None,
            limit: self.limit,
        })
    }

    /// Writes the query as it stands behind the question mark; nothing in it needs escaping.
    #[must_use]
    pub fn to_text(&self) -> String {
        let pairs = [
            ("instance", self.instance.clone()),
            ("level", self.level.clone()),
            ("type", self.kinds.clone()),
            ("since", self.since.map(|since| since.to_string())),
            ("after", self.after.map(|after| after.to_string())),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("wait_ms", self.wait_ms.map(|wait| wait.to_string())),
        ];
        let pairs: Vec<String> = pairs
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", value?)))
            .collect();
        pairs.join("&")
    }
}

fn parse_level(word: &str) -> Result<Level, InvalidQuery> {
    Level::parse(word).ok_or_else(|| InvalidQuery::Level {
        word: word.to_owned(),
    })
}

fn parse_kind(word: &str) -> Result<EventType, InvalidQuery> {
    EventType::parse(word).ok_or_else(|| InvalidQuery::Kind {
        word: word.to_owned(),
    })
}

impl From<&Event> for EventBody {
    fn from(event: &Event) -> Self {
        Self {
            id: event.id,
            ts: rfc3339(event.at),
            instance: event.instance.as_ref().map(ToString::to_string),
            level: event.level.to_string(),
            event_type: event.kind.to_string(),
            message: event.message.clone(),
        }
    }
}

impl EventBody {
    /// Converts back; `None` for a kind this version does not know.
    #[must_use]
    pub fn to_event(&self) -> Option<Event> {
        Some(Event {
            id: self.id,
            at: unix_seconds(&self.ts)?,
            instance: self
                .instance
                .as_deref()
                .and_then(|name| InstanceName::parse(name).ok()),
            level: Level::parse(&self.level)?,
            kind: EventType::parse(&self.event_type)?,
            message: self.message.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_the_wire() {
        let filter = EventFilter {
            instance: InstanceName::parse("a-b").ok(),
            level: Some(Level::Warning),
            kinds: vec![EventType::Crashed, EventType::GaveUp],
            since: Some(1_764_252_869.25),
            after_id: Some(7),
            before_id: None,
            limit: Some(3),
        };
        let query = EventsQuery::of(&filter);
        assert_eq!(query.filter(), Ok(filter));
        assert_eq!(
            query.to_text(),
            "instance=a-b&level=warning&type=crashed,gave_up&since=1764252869.25&after=7&limit=3"
        );
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_known_ones() {
        let wrong = |query: EventsQuery| match query.filter() {
            Ok(filter) => format!("accepted: {filter:?}"),
            Err(error) => error.to_string(),
        };
        let level = wrong(EventsQuery {
            level: Some("loud".to_owned()),
            ..EventsQuery::default()
        });
        assert_eq!(level, "\"loud\" is no level: info, warning or error");
        let kind = wrong(EventsQuery {
            kinds: Some("crashed,boom".to_owned()),
            ..EventsQuery::default()
        });
        assert!(
            kind.starts_with("\"boom\" is no event type: owner_started, "),
            "{kind}"
        );
    }
}
