//! The shape of what the doctor finds.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::checkup::{Area, Found, Grade};

/// `GET /doctor`; also what `doctor --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckupBody {
    /// The worst grade of all: good, note, warning, error.
    pub grade: String,
    pub findings: Vec<FoundBody>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundBody {
    pub area: String,
    pub grade: String,
    pub text: String,
    pub remedy: Option<String>,
}

impl CheckupBody {
    #[must_use]
    pub fn of(findings: &[Found]) -> Self {
        let worst = findings.iter().map(|found| found.grade).max();
        Self {
            grade: worst.unwrap_or(Grade::Good).to_string(),
            findings: findings.iter().map(FoundBody::from).collect(),
        }
    }

    /// Converts back, without what this version does not know.
    #[must_use]
    pub fn to_findings(&self) -> Vec<Found> {
        self.findings
            .iter()
            .filter_map(|body| {
                Some(Found {
                    area: Area::parse(&body.area)?,
                    grade: Grade::parse(&body.grade)?,
                    text: body.text.clone(),
                    remedy: body.remedy.clone(),
                })
            })
            .collect()
    }
}

impl From<&Found> for FoundBody {
    fn from(found: &Found) -> Self {
        Self {
            area: found.area.to_string(),
            grade: found.grade.to_string(),
            text: found.text.clone(),
            remedy: found.remedy.clone(),
        }
    }
}
