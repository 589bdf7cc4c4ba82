//! Plans on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::FitBody;

/// `GET /plan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlansBody {
    pub plans: Vec<PlanBody>,
}

/// What it would take to make one instance what its file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanBody {
    pub instance: String,
    /// `nothing`, `live`, `restart`, or `repair` when the file cannot be used.
    pub action: String,
    /// Why the file cannot be used, or what it describes could not be started.
    pub problem: Option<String>,
    pub changes: Vec<ChangeBody>,
    /// Whether what a restart starts will fit into memory; null when nothing is restarted.
    #[serde(default)]
    pub fit: Option<FitBody>,
}

/// A field that differs; secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeBody {
    /// Dotted path.
    pub field: String,
    /// Null when it was not set.
    pub was: Option<String>,
    pub now: Option<String>,
    /// `nothing` or `restart`.
    pub needs: String,
}

/// The answer to `POST /instances/{name}/apply`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AppliedBody {
    /// What was done, or is under way.
    pub plan: PlanBody,
    /// The first generation that shows the effect.
    pub generation: u64,
}
