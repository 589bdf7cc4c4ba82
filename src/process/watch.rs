//! One thread that sleeps until a watched process ends.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

/// Watches pidfds by key. The thread lives as long as the process does.
#[derive(Debug)]
pub struct PidWatcher {
    epoll: Arc<OwnedFd>,
}

impl PidWatcher {
    /// Starts the thread; `on_end` is called on it once per ended process. It ends when `on_end`
    /// returns `false`.
    ///
    /// # Errors
    ///
    /// Returns an error when the thread or its epoll cannot be made.
    pub fn start(on_end: impl Fn(u64) -> bool + Send + 'static) -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let waiting = Arc::clone(&epoll);
        std::thread::Builder::new()
            .name("pids".to_owned())
            .spawn(move || {
                let mut events = Vec::with_capacity(64);
                loop {
                    events.clear();
                    match epoll::wait(&*waiting, spare_capacity(&mut events), None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(_) => return,
                    }
                    for event in &events {
                        if !on_end(event.data.u64()) {
                            return;
                        }
                    }
                }
            })?;
        Ok(Self { epoll })
    }

    /// Watches a process; its end is told once, also when it lies in the past.
    ///
    /// # Errors
    ///
    /// Returns an error when there is no room for it.
    pub fn watch(&self, key: u64, pidfd: BorrowedFd<'_>) -> io::Result<()> {
        let data = epoll::EventData::new_u64(key);
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        epoll::add(self.epoll.as_fd(), pidfd, data, once)?;
        Ok(())
    }

    /// Stops watching a process; a descriptor that closes is forgotten by itself.
    pub fn forget(&self, pidfd: BorrowedFd<'_>) {
        epoll::delete(self.epoll.as_fd(), pidfd).ok(); // it was never added
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::os;
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn each_end_is_told_once_with_its_key() {
        let (sender, ends) = mpsc::channel();
        let watcher = PidWatcher::start(move |key| sender.send(key).is_ok()).expect("start");
        let mut children: Vec<_> = (0..5)
            .map(|_| {
                Command::new("/bin/sleep")
                    .arg("60")
                    .spawn()
                    .expect("sleep runs")
            })
            .collect();
        let mut pidfds = Vec::new();
        for (key, child) in (10..).zip(&children) {
            let pidfd = os::open_pidfd(child.id().cast_signed()).expect("a pidfd");
            watcher.watch(key, pidfd.as_fd()).expect("watch");
            pidfds.push(pidfd);
        }
        for index in [3, 0, 4, 1, 2] {
            children[index].kill().expect("kill");
            let key = ends.recv_timeout(Duration::from_secs(10)).expect("an end");
            assert_eq!(key, 10 + index as u64);
            children[index].wait().expect("reap");
        }
        assert!(ends.try_recv().is_err());
    }
}
