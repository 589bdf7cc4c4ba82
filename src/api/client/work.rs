//! Requests about work units.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;

use super::{ANSWER_TIME, Client, ClientError, transport};
use crate::api::LONG_POLL_LIMIT_MS;
use crate::api::wire::{
    NewWorkUnit, WorkAnswerBody, WorkHistoryBody, WorkUnitBody, WorkUnitPatch, WorkUnitsBody,
};
use crate::domain::work::{Chunk, Waiters};

impl Client {
    /// `GET /work-units`: all units at once.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn work_units(&self) -> Result<WorkUnitsBody, ClientError> {
        self.get("/work-units", ANSWER_TIME).await
    }

    /// `GET /work-units?after=G`: waits until the units are newer than `generation`, or `wait` is
    /// over, and returns them as they are then.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn work_units_after(
        &self,
        generation: u64,
        wait: Duration,
    ) -> Result<WorkUnitsBody, ClientError> {
        let millis = u64::try_from(wait.as_millis())
            .unwrap_or(u64::MAX)
            .min(LONG_POLL_LIMIT_MS);
        let path = format!("/work-units?after={generation}&wait_ms={millis}");
        self.get(&path, ANSWER_TIME + Duration::from_millis(millis))
            .await
    }

    /// `GET /work-units/{chunk}`
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn work_unit(&self, chunk: &Chunk) -> Result<WorkUnitBody, ClientError> {
        self.get(&format!("/work-units/{chunk}"), ANSWER_TIME).await
    }

    /// `GET /work-units/{chunk}/history`: the newest `limit` lines of its status log, oldest first.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn work_history(
        &self,
        chunk: &Chunk,
        limit: u32,
    ) -> Result<WorkHistoryBody, ClientError> {
        let path = format!("/work-units/{chunk}/history?limit={limit}");
        self.get(&path, ANSWER_TIME).await
    }

    /// `POST /work-units`
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn create_work_unit(
        &self,
        unit: &NewWorkUnit,
    ) -> Result<WorkAnswerBody, ClientError> {
        self.post("/work-units", unit).await
    }

    /// `PATCH /work-units/{chunk}`
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn change_work_unit(
        &self,
        chunk: &Chunk,
        patch: &WorkUnitPatch,
    ) -> Result<WorkAnswerBody, ClientError> {
        let body = Bytes::from(serde_json::to_vec(patch).map_err(transport)?);
        let path = format!("/work-units/{chunk}");
        self.call(Method::PATCH, &path, body, ANSWER_TIME).await
    }

    /// `DELETE /work-units/{chunk}`; returns the unit as it was.
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn delete_work_unit(
        &self,
        chunk: &Chunk,
        waiters: Waiters,
    ) -> Result<WorkAnswerBody, ClientError> {
        let path = match waiters {
            Waiters::Keep => format!("/work-units/{chunk}"),
            Waiters::Release => format!("/work-units/{chunk}?force=true"),
        };
        self.call(Method::DELETE, &path, Bytes::new(), ANSWER_TIME)
            .await
    }
}
