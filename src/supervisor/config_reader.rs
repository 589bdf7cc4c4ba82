//! The one thread on which configurations are read while an owner works.
//!
//! What a reading takes and gives back is much in a large fleet, and memory that was given back stays
//! with the thread that had it: on the threads for everything else it would stay with each of them.

use std::io;
use std::sync::mpsc::{Sender, channel};

type Job = Box<dyn FnOnce() + Send>;

/// Reads one thing after the other; the thread ends with its reader.
pub(super) struct ConfigReader {
    jobs: Sender<Job>,
}

impl ConfigReader {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Returns an error when there is no room for it.
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let thread = std::thread::Builder::new().name("configs".to_owned());
        thread.spawn(move || queue.into_iter().for_each(|job| job()))?;
        Ok(Self { jobs })
    }

    /// Does this when everything before it is done.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.jobs.send(Box::new(job)).ok(); // a job that panicked ended the thread
    }
}
