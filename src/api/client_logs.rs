//! Questions about logs to the owner.

use std::time::Duration;

use super::LONG_POLL_LIMIT_MS;
use super::client::{ANSWER_TIME, Client, ClientError};
use super::wire::logs::{LogCountBody, LogPageBody, LogQuery, LogSearchBody, LogSizeBody};
use crate::domain::log::{
    Count, CountQuery, Cursor, Page, PageQuery, Search, SearchQuery, Size, Streams, Whose,
};

impl Client {
    /// `GET …/logs` of an instance or a work unit: a page; reading forward at the end, waits up to `wait` for a
    /// line.
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn log_page(
        &self,
        whose: impl Into<Whose>,
        query: &PageQuery,
        wait: Duration,
    ) -> Result<Page, ClientError> {
        let wait = millis(wait);
        let query = LogQuery::of_page(query, Some(wait));
        let body: LogPageBody = self.ask_log(whose.into(), "", &query, wait).await?;
        body.into_page().ok_or_else(unreadable)
    }

    /// `GET …/logs/search`: the next match, or where to go on.
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn log_search(
        &self,
        whose: impl Into<Whose>,
        query: &SearchQuery,
    ) -> Result<Search, ClientError> {
        let query = LogQuery::of_search(query);
        let body: LogSearchBody = self.ask_log(whose.into(), "/search", &query, 0).await?;
        body.to_search().ok_or_else(unreadable)
    }

    /// `GET …/logs/count`: matches, as far as one answer counts.
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn log_count(
        &self,
        whose: impl Into<Whose>,
        query: &CountQuery,
    ) -> Result<Count, ClientError> {
        let query = LogQuery::of_count(query);
        let body: LogCountBody = self.ask_log(whose.into(), "/count", &query, 0).await?;
        body.to_count().ok_or_else(unreadable)
    }

    /// `GET …/logs/size`: how much there is; with a cursor, waits up to `wait`
    /// until something is written behind it.
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn log_size(
        &self,
        whose: impl Into<Whose>,
        streams: Streams,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Size, ClientError> {
        let wait = millis(wait);
        let query = LogQuery::of_size(streams, after, Some(wait));
        let body: LogSizeBody = self.ask_log(whose.into(), "/size", &query, wait).await?;
        body.to_size().ok_or_else(unreadable)
    }

    async fn ask_log<T: serde::de::DeserializeOwned>(
        &self,
        whose: Whose,
        below: &str,
        query: &LogQuery,
        wait: u64,
    ) -> Result<T, ClientError> {
        let query = serde_urlencoded::to_string(query)
            .map_err(|error| ClientError::Transport(error.to_string()))?;
        let path = match whose {
            Whose::Instance(name) => format!("/instances/{name}/logs{below}?{query}"),
            Whose::Unit(chunk) => format!("/work-units/{chunk}/logs{below}?{query}"),
        };
        self.get(&path, ANSWER_TIME + Duration::from_millis(wait))
            .await
    }
}

fn millis(wait: Duration) -> u64 {
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    millis.min(LONG_POLL_LIMIT_MS)
}

fn unreadable() -> ClientError {
    ClientError::Transport("the owner names places in the log that cannot be read".to_owned())
}
