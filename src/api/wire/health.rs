//! The history of an instance's health on the wire.

use serde::{Deserialize, Serialize};

/// The query of `GET /instances/{name}/health`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthQuery {
    /// The most changes, and the most rollups.
    pub limit: Option<u32>,
}

/// `GET /instances/{name}/health`; both lists oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HealthHistoryBody {
    pub changes: Vec<HealthChangeBody>,
    #[serde(default)]
    pub rollups: Vec<HealthRollupBody>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthChangeBody {
    /// RFC 3339.
    pub ts: String,
    pub health: String,
    pub response_ms: Option<f64>,
    pub error: Option<String>,
}

/// All probes of one stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
