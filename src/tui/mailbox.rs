//! How the rest of the program speaks to the dashboard's thread: bounded, and never waited for.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use super::model::Msg;

/// Messages beyond this are dropped: the screen is then older than it could be, nothing more.
const LIMIT: usize = 4096;

/// A queue of messages whose descriptor is readable while there are any.
#[derive(Clone)]
pub struct Mailbox {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<VecDeque<Msg>>,
    wake: OwnedFd,
}

impl Mailbox {
    /// # Errors
    ///
    /// Returns an error when the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            shared: Arc::new(Shared {
                queue: Mutex::new(VecDeque::new()),
                wake,
            }),
        })
    }

    /// Leaves a message. A newer picture of the fleet takes the place of one that waits.
    pub fn post(&self, msg: Msg) {
        let mut queue = self
            .shared
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Msg::Picture(_) = msg
            && let Some(waiting) = queue.iter_mut().find(|msg| matches!(msg, Msg::Picture(_)))
        {
            *waiting = msg;
        } else if queue.len() < LIMIT || msg.must_arrive() {
            queue.push_back(msg);
        }
        drop(queue);
        self.wake();
    }

    /// Lets the dashboard look at its terminal again.
    pub fn wake(&self) {
        rustix::io::write(&self.shared.wake, &1_u64.to_ne_bytes()).ok(); // full means awake already
    }

    /// Takes up to `limit` messages, oldest first.
    pub(super) fn take(&self, limit: usize) -> Vec<Msg> {
        let mut counter = [0; 8];
        let mut queue = self
            .shared
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if queue.len() <= limit {
            rustix::io::read(&self.shared.wake, &mut counter).ok(); // it was not awake
        }
        let count = queue.len().min(limit);
        queue.drain(..count).collect()
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fleet::FleetSnapshot;

    fn picture(generation: u64) -> Msg {
        Msg::Picture(Box::new(FleetSnapshot {
            generation,
            ..FleetSnapshot::default()
        }))
    }

    #[test]
    fn only_the_newest_picture_waits_and_the_rest_keeps_its_order() {
        let mailbox = Mailbox::new().expect("a descriptor is left");
        mailbox.post(Msg::Tick);
        mailbox.post(picture(1));
        mailbox.post(Msg::Lost);
        mailbox.post(picture(2));
        let taken = mailbox.take(10);
        let [Msg::Tick, Msg::Picture(snapshot), Msg::Lost] = taken.as_slice() else {
            unreachable!("{taken:?}");
        };
        assert_eq!(snapshot.generation, 2);
        assert!(mailbox.take(10).is_empty());
    }

    #[test]
    fn a_flood_is_bounded_but_the_end_always_arrives() {
        let mailbox = Mailbox::new().expect("a descriptor is left");
        for _ in 0..LIMIT + 10 {
            mailbox.post(Msg::Tick);
        }
        mailbox.post(Msg::Lost);
        let taken = mailbox.take(usize::MAX);
        assert_eq!(taken.len(), LIMIT + 1);
        assert!(matches!(taken.last(), Some(Msg::Lost)));
    }
}
