//! The history of an instance's health on the wire.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::fleet::{FleetSnapshot, InstanceRow};

/// The query of `GET /instances/{name}/health`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HealthQuery {
    /// The most changes, and the most rollups.
    pub limit: Option<u32>,
}

/// `GET /instances/{name}/health`; both lists oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthHistoryBody {
    pub changes: Vec<HealthChangeBody>,
    #[serde(default)]
    pub rollups: Vec<HealthRollupBody>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthChangeBody {
    /// RFC 3339.
    pub ts: String,
    pub health: String,
    pub response_ms: Option<f64>,
    pub error: Option<String>,
}

/// All probes of one stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthRollupBody {
    /// RFC 3339.
    pub started_at: String,
    /// How long the stretch is; the present one is not over yet.
    pub seconds: u32,
    pub probes: u32,
    /// Probes that found the server unhealthy or answering wrongly.
    pub failures: u32,
    /// Probes that were answered, whatever the answer.
    pub responses: u32,
    pub response_mean_ms: Option<f64>,
    pub response_max_ms: Option<f64>,
}

/// `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetHealthBody {
    /// Every instance is healthy or was stopped on purpose.
    pub ok: bool,
    pub instances: Vec<InstanceHealthBody>,
}

/// How one instance does; also what `health --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceHealthBody {
    pub name: String,
    pub status: String,
    pub health: String,
    /// Status and health in one word.
    pub state: String,
    pub reason: Option<String>,
    pub desired: String,
    pub pid: Option<i32>,
    pub url: Option<String>,
    pub restarts: u32,
}

impl FleetHealthBody {
    #[must_use]
    pub fn of(picture: &FleetSnapshot) -> Self {
        Self {
            ok: picture.rows.iter().all(InstanceRow::is_as_wanted),
            instances: picture.rows.iter().map(InstanceHealthBody::from).collect(),
        }
    }
}

impl From<&InstanceRow> for InstanceHealthBody {
    fn from(row: &InstanceRow) -> Self {
        Self {
            name: row.name.to_string(),
            status: row.status.to_string(),
            health: row.health.to_string(),
            state: row.state_word().to_owned(),
            reason: row.reason.clone(),
            desired: row.desired.to_string(),
            pid: row.pid,
            url: row.url(),
            restarts: row.restarts,
        }
    }
}
