//! The time that the commands of work units may take: who is over it is told to stop.
//!
//! Looked at in every turn, so that another limit counts for what runs already; one timer sees to
//! it that there is a turn when the next limit is over. A command that an earlier owner began has
//! the age of its process.

use std::time::{Duration, Instant, SystemTime};

use super::super::log_files;
use super::work_runs::UnitMessage;
use super::{Actor, Message, Scope};
use crate::domain::run::RunId;
use crate::domain::work::{Chunk, LimitOf, Order, State, Worker, overdue};

/// The next turn that the limits need.
#[derive(Debug)]
pub(super) struct LimitTimer {
    at: Instant,
    task: tokio::task::AbortHandle,
}

/// A command that runs under a limit.
struct Limited {
    chunk: Chunk,
    limit: (Duration, LimitOf),
    over_at: Instant,
}

impl Actor {
    /// Ends the commands whose time is over: their units need attention now.
    pub(super) fn limit_units(&mut self) {
        // Who decides for some instances only leaves the units to the next owner.
        if self.scope != Scope::Fleet {
            return;
        }
        let now = Instant::now();
        let (over, coming): (Vec<Limited>, Vec<Limited>) = self
            .limited_units()
            .into_iter()
            .partition(|limited| limited.over_at <= now);
        for Limited { chunk, limit, .. } in over {
            self.end_overdue(&chunk, limit);
        }
        let next = coming.into_iter().map(|limited| limited.over_at).min();
        self.set_limit_timer(next);
    }

    fn limited_units(&self) -> Vec<Limited> {
        let set = self.work.board.set();
        let limited = |(chunk, watching): (&Chunk, &super::runs::Watching)| {
            let unit = set.get(chunk)?;
            let run = RunId::new(watching.live.run.run_id.clone());
            if unit.state != State::Running(Worker::Run(run)) {
                return None; // it is being stopped already
            }
            let limit = unit.limit(self.settings.work.time_limit)?;
            Some(Limited {
                chunk: chunk.clone(),
                limit,
                over_at: watching.begun_at.checked_add(limit.0)?,
            })
        };
        self.units.running.iter().filter_map(limited).collect()
    }

    fn end_overdue(&mut self, chunk: &Chunk, limit: (Duration, LimitOf)) {
        let Some(watching) = self.units.running.get(chunk) else {
            return;
        };
        let lines = self.last_words(chunk, &watching.live.run);
        let why = overdue(chunk, limit, self.silent_for(chunk), &lines);
        self.order(Order::Flag(chunk.clone(), why));
    }

    /// How long ago a command wrote its last byte.
    fn silent_for(&self, chunk: &Chunk) -> Option<Duration> {
        let logs = log_files::of_unit(&self.launcher.home, chunk);
        let written = |path| std::fs::metadata(path).ok()?.modified().ok();
        let times = [logs.stdout, logs.stderr].into_iter().filter_map(written);
        SystemTime::now().duration_since(times.max()?).ok()
    }

    fn set_limit_timer(&mut self, next: Option<Instant>) {
        let set = self.units.limit_timer.as_ref().map(|timer| timer.at);
        if set == next {
            return;
        }
        if let Some(timer) = self.units.limit_timer.take() {
            timer.task.abort();
        }
        let Some(at) = next else { return };
        let sender = self.sender.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            let message = Message::Unit(UnitMessage::TimeIsUp);
            sender.send(message).await.ok(); // the loop has ended
        });
        self.units.limit_timer = Some(LimitTimer {
            at,
            task: task.abort_handle(),
        });
    }
}
