//! A log as it is written.

use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::Instant;

use super::super::live::{self, Followed, Message};
use super::super::{Answered, Owner};
use super::book::LogBook;
use crate::api::wire::logs::{LogPageBody, LogQuery};
use crate::domain::log::{At, Direction, Ending, PageQuery, Whose};

/// Lines of one message.
const STREAM_LINES: usize = 500;

/// One look.
const STREAM_WAIT: Duration = Duration::from_secs(20);

/// What is written to a log from some place on.
pub(super) struct LogFollower {
    logs: LogBook,
    whose: Whose,
    query: PageQuery,
}

impl LogFollower {
    pub(super) fn new(
        owner: &Owner,
        whose: Whose,
        headers: &HeaderMap,
        mut asked: LogQuery,
    ) -> Answered<Self> {
        let begins_at_end = asked.at.is_none() && live::last_seen(headers).is_none();
        if let Some(seen) = live::last_seen(headers) {
            asked.at = Some(seen.to_owned());
        }
        let mut query = asked.to_page()?;
        query.direction = if begins_at_end {
            query.lines = asked.lines.unwrap_or(0);
            Direction::Backward
        } else {
            query.lines = STREAM_LINES;
            Direction::Forward
        };
        query.lines = query.lines.min(STREAM_LINES);
        Ok(Self {
            logs: owner.logs.clone(),
            whose,
            query,
        })
    }
}

impl Followed for LogFollower {
    async fn next(&mut self) -> Answered<Vec<Message>> {
        let asked = self.query.clone();
        let mut page = self
            .logs
            .ask(&self.whose, move |log| log.page(&asked))
            .await?;
        // Its whole line comes when there is one.
        page.lines.retain(|line| line.ending == Ending::Whole);
        let (streams, end) = (self.query.streams, page.end);
        self.query.at = At::Cursor(end);
        self.query.direction = Direction::Forward;
        self.query.lines = STREAM_LINES;
        if page.lost || !page.lines.is_empty() {
            return Ok(vec![Message::new(&end, &LogPageBody::from(&page))]);
        }
        if page.at_end {
            let until = Instant::now() + STREAM_WAIT;
            self.logs
                .wait_for_growth(&self.whose, streams, end, until)
                .await?;
        }
        Ok(Vec::new())
    }
}
