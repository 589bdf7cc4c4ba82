//! The loop of a shim: output, signals, and the end of the server, until nothing is left.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::process::Signal;

use super::complain;
use super::copy::{Copier, Left};
use super::record::{End, Record};
use super::signals::{Request, Signals};
use crate::process::os;
use crate::process::runfiles::{AskFile, StopFile};

const STDOUT: u64 = 0;
const STDERR: u64 = 1;
const LEADER: u64 = 2;
const FIRST_SIGNAL: u64 = 3;

/// Killed processes that are still there after this are stuck in the kernel.
const UNKILLABLE_AFTER: Duration = Duration::from_secs(5);

/// How often survivors are killed again, beside every SIGCHLD.
const KILL_AGAIN: Duration = Duration::from_millis(20);

/// How often it is looked whether those that were asked beside their leader are gone.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Who was asked is asked again this long before the grace is over, or a quarter of the grace before.
/// A real llama-server that is asked during a completion waits for its client for ever, and a second
/// SIGTERM makes it exit with 1 within some milliseconds, which frees what a SIGKILL would leave to
/// the kernel. Earlier would cut a slow clean-up short.
const ASK_AGAIN_BEFORE: Duration = Duration::from_secs(1);

/// The processes of a run, seen from a shim.
pub(super) trait Tree {
    /// The descriptor that becomes readable when the leader ends.
    fn leader(&self) -> &OwnedFd;
    /// The time between asking and killing.
    fn grace(&self) -> Duration;
    /// Whom a stop asks.
    fn asks(&self) -> AskFile;
    /// Signals the leader, and those that surely belong to it.
    fn signal_all(&self, signal: Signal);
    /// Kills whatever lives.
    fn kill(&mut self);
    /// Learns how the leader ended; called when its descriptor is readable.
    fn leader_ended(&mut self);
    /// Reaps ended processes other than the leader.
    fn reap_others(&mut self);
    /// Returns whether nothing of the run is left, reaping what can be reaped.
    fn is_gone(&mut self) -> bool;
    /// How the leader ended.
    fn end(&mut self) -> End;

    /// Asks them to end; called once, and once more shortly before they are killed.
    fn ask(&mut self) {
        // A stopped process could not obey, hence the second.
        for signal in [Signal::TERM, Signal::CONT] {
            match self.asks() {
                AskFile::Leader => {
                    os::signal(self.leader(), signal).ok(); // it may just have ended
                }
                AskFile::Tree => self.signal_all(signal),
            }
        }
    }
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Asked {
        again_at: Instant,
        kill_at: Instant,
    },
    /// The second request is out.
    AskedAgain {
        kill_at: Instant,
    },
    Killing {
        since: Instant,
        told: bool,
    },
}

pub(super) struct EventLoop {
    epoll: OwnedFd,
    signals: Signals,
    stdout: Stream,
    stderr: Stream,
    record: Record,
    stage: Stage,
    leader: Leader,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leader {
    Lives,
    Ended,
}

impl EventLoop {
    pub(super) fn new(
        signals: Signals,
        stdout: Copier,
        stderr: Copier,
        record: Record,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (stream, copier) in [(STDOUT, &stdout), (STDERR, &stderr)] {
            let data = epoll::EventData::new_u64(stream);
            epoll::add(&epoll, copier.pipe(), data, Awaited::Anything.flags())?;
        }
        for (number, socket) in (FIRST_SIGNAL..).zip(signals.sockets()) {
            let data = epoll::EventData::new_u64(number);
            epoll::add(&epoll, socket, data, epoll::EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            signals,
            stdout: Stream::new(STDOUT, stdout),
            stderr: Stream::new(STDERR, stderr),
            record,
            stage: Stage::Running,
            leader: Leader::Lives,
        })
    }

    /// Runs until the tree is gone and everything it wrote is in the logs; returns the exit code.
    pub(super) fn run(mut self, mut tree: impl Tree) -> io::Result<u8> {
        let data = epoll::EventData::new_u64(LEADER);
        epoll::add(&self.epoll, tree.leader(), data, epoll::EventFlags::IN)?;
        let mut events = Vec::with_capacity(16);
        loop {
            events.clear();
            let limit = self.next_deadline().map(timespec);
            match epoll::wait(&self.epoll, spare_capacity(&mut events), limit.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    STDOUT => self.stdout.copy(&self.epoll, &mut self.record),
                    STDERR => self.stderr.copy(&self.epoll, &mut self.record),
                    LEADER => {
                        epoll::delete(&self.epoll, tree.leader()).ok(); // then it was never added
                        tree.leader_ended();
                        self.leader = Leader::Ended;
                        self.outlived(&mut tree);
                    }
                    number => {
                        let index = usize::try_from(number - FIRST_SIGNAL).unwrap_or(usize::MAX);
                        if let Some(request) = self.signals.take(index) {
                            self.asked(request, &mut tree);
                        }
                    }
                }
            }
            if self.leader == Leader::Ended && tree.is_gone() {
                break;
            }
            self.on_time(&mut tree);
        }
        self.stdout.copier.finish();
        self.stderr.copier.finish();
        let end = tree.end();
        let (stdout, stderr) = (&self.stdout.copier, &self.stderr.copier);
        let written = self.record.write_exit(end, stdout, stderr);
        if let Err(error) = written {
            complain(&format!("write exit.json: {error}"));
        }
        Ok(0)
    }

    fn asked(&mut self, request: Request, tree: &mut impl Tree) {
        match (request, self.stage) {
            (Request::Stop, Stage::Running) => {
                self.record.stopping(StopFile::Gentle);
                tree.ask();
                let grace = self.record.present_grace().unwrap_or_else(|| tree.grace());
                let now = Instant::now();
                self.stage = Stage::Asked {
                    again_at: now + (grace - ASK_AGAIN_BEFORE.min(grace / 4)),
                    kill_at: now + grace,
                };
            }
            (Request::Kill, Stage::Running | Stage::Asked { .. } | Stage::AskedAgain { .. }) => {
                self.record.stopping(StopFile::Kill);
                self.begin_kill(tree);
            }
            (Request::Rotate, _) => {
                self.stdout.copier.rotate_now();
                self.stderr.copier.rotate_now();
            }
            (
                Request::ChildEnded,
                Stage::Running | Stage::Asked { .. } | Stage::AskedAgain { .. },
            ) => tree.reap_others(),
            // A second request changes nothing, and while killing every turn looks at the children.
            (
                Request::Stop,
                Stage::Asked { .. } | Stage::AskedAgain { .. } | Stage::Killing { .. },
            )
            | (Request::Kill, Stage::Killing { .. })
            | (Request::ChildEnded, Stage::Killing { .. }) => {}
        }
    }

    /// Whatever outlives its leader has nobody to serve; who was asked too may finish in time.
    fn outlived(&mut self, tree: &mut impl Tree) {
        match (self.stage, tree.asks()) {
            (Stage::Asked { .. } | Stage::AskedAgain { .. }, AskFile::Tree) => {}
            (Stage::Asked { .. } | Stage::AskedAgain { .. }, AskFile::Leader)
            | (Stage::Running | Stage::Killing { .. }, _) => self.begin_kill(tree),
        }
    }

    fn begin_kill(&mut self, tree: &mut impl Tree) {
        if !matches!(self.stage, Stage::Killing { .. }) {
            self.stage = Stage::Killing {
                since: Instant::now(),
                told: false,
            };
        }
        tree.kill();
    }

    fn on_time(&mut self, tree: &mut impl Tree) {
        match self.stage {
            Stage::Running => {}
            Stage::Asked { again_at, kill_at } => {
                if Instant::now() >= again_at {
                    tree.ask();
                    self.stage = Stage::AskedAgain { kill_at };
                }
            }
            Stage::AskedAgain { kill_at } => {
                if Instant::now() >= kill_at {
                    self.begin_kill(tree);
                }
            }
            Stage::Killing { since, told } => {
                tree.kill();
                if !told && since.elapsed() >= UNKILLABLE_AFTER {
                    self.record
                        .note("processes of this run do not die: stuck in the kernel");
                    self.stage = Stage::Killing { since, told: true };
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        match self.stage {
            Stage::Running => None,
            Stage::Asked { again_at: at, .. } | Stage::AskedAgain { kill_at: at } => {
                let left = at.saturating_duration_since(Instant::now());
                Some(match self.leader {
                    Leader::Lives => left,
                    // Nobody tells a shim that is not their parent that the last one has ended.
                    Leader::Ended => left.min(LOOK_AGAIN),
                })
            }
            Stage::Killing { told: false, .. } => Some(KILL_AGAIN),
            Stage::Killing { told: true, .. } => Some(UNKILLABLE_AFTER),
        }
    }
}

/// One of the server's two streams.
struct Stream {
    key: u64,
    copier: Copier,
    awaited: Awaited,
}

/// What a stream wakes us for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// Whatever is in the pipe.
    Anything,
    /// What follows an unfinished line, which must not wake us again and again.
    More,
}

impl Awaited {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Self::Anything => epoll::EventFlags::IN,
            Self::More => epoll::EventFlags::IN | epoll::EventFlags::ET,
        }
    }
}

impl Stream {
    fn new(key: u64, copier: Copier) -> Self {
        Self {
            key,
            copier,
            awaited: Awaited::Anything,
        }
    }

    fn copy(&mut self, epoll: &OwnedFd, record: &mut Record) {
        match self.copier.turn() {
            Left::Movable => self.wait_for(Awaited::Anything, epoll),
            Left::UnfinishedLine => self.wait_for(Awaited::More, epoll),
            Left::End => {
                epoll::delete(epoll, self.copier.pipe()).ok(); // then it was never added
            }
        }
        if self.copier.without_splice() {
            record.note("the log's file system has no splice: a killed shim may lose lines");
        }
    }

    fn wait_for(&mut self, awaited: Awaited, epoll: &OwnedFd) {
        if self.awaited == awaited {
            return;
        }
        let data = epoll::EventData::new_u64(self.key);
        if epoll::modify(epoll, self.copier.pipe(), data, awaited.flags()).is_ok() {
            self.awaited = awaited;
        }
    }
}

/// Rounded up, so that a deadline is never looked at just before it.
fn timespec(time: Duration) -> Timespec {
    let time = time + Duration::from_millis(1);
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}
