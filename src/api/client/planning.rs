//! Requests about the difference between instances and their files.

use super::{ANSWER_TIME, Client, ClientError};
use crate::api::wire::{AppliedBody, PlansBody};
use crate::domain::instance::InstanceName;

impl Client {
    /// `GET /plan`: what it would take to make every instance what its file says.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn plans(&self) -> Result<PlansBody, ClientError> {
        self.get("/plan", ANSWER_TIME).await
    }

    /// `POST /instances/{name}/apply`: does what the plan of this instance says, and nothing else.
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn apply(&self, name: &InstanceName) -> Result<AppliedBody, ClientError> {
        self.post(&format!("/instances/{name}/apply"), &serde_json::json!({}))
            .await
    }
}
