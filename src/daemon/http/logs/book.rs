//! The readers of all logs, asked off the thread that everything else runs on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::super::{Answered, Failure};
use crate::api::error::{ErrorBody, ErrorCode};
use crate::config::home::Home;
use crate::domain::log::{Cursor, Streams, Whose};
use crate::logs::{LogError, Reader};
use crate::supervisor::log_files;

/// Logs read at once; more questions wait, so that searches leave time for everything else.
const PLACES: usize = 2;

/// A log that is waited for is looked at this often: a look costs microseconds, while being told
/// of every write would cost a wake-up per write in a flood.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// The readers of all logs; each keeps only its counts of lines.
#[derive(Clone)]
pub struct LogBook {
    home: Home,
    readers: Arc<Mutex<HashMap<Whose, Arc<Reader>>>>,
    places: Arc<Semaphore>,
}

impl LogBook {
    #[must_use]
    pub fn new(home: Home) -> Self {
        Self {
            home,
            readers: Arc::default(),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }

    /// Asks one log, off the thread that everything else runs on.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        whose: &Whose,
        question: impl FnOnce(&Reader) -> Result<T, LogError> + Send + 'static,
    ) -> Answered<T> {
        let _place = self.places.acquire().await;
        let (book, whose) = (self.clone(), whose.clone());
        let asked = tokio::task::spawn_blocking(move || question(&book.reader(&whose))).await;
        match asked {
            Ok(answer) => Ok(answer?),
            Err(error) => {
                let message = format!("reading the log failed: {error}");
                Err(Failure(ErrorBody::new(ErrorCode::OwnerError, message)))
            }
        }
    }

    /// Waits until something is written behind a place.
    pub(super) async fn wait_for_growth(
        &self,
        whose: &Whose,
        streams: Streams,
        after: Cursor,
        until: Instant,
    ) -> Answered<()> {
        while Instant::now() < until {
            let grown = self
                .ask(whose, move |log| log.grown(streams, &after))
                .await?;
            if grown {
                break;
            }
            tokio::time::sleep_until(until.min(Instant::now() + LOOK_PAUSE)).await;
        }
        Ok(())
    }

    fn reader(&self, whose: &Whose) -> Arc<Reader> {
        let files = log_files::of_whom(&self.home, whose);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = readers.get(whose).filter(|reader| *reader.files() == files);
        match known {
            Some(reader) => Arc::clone(reader),
            None => {
                let reader = Arc::new(Reader::new(files));
                readers.insert(whose.clone(), Arc::clone(&reader));
                reader
            }
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let code = match &error {
            LogError::Pattern { .. } => ErrorCode::Invalid,
            LogError::Io(_) => ErrorCode::OwnerError,
        };
        Self(ErrorBody::new(code, error.to_string()))
    }
}
