//! What a shim keeps of how much a stream has logged; `process::log_counts` says why and how.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::process::log_counts::{LogCount, Stage};

/// While bytes are dropped, how many is noted this often.
const SPACING: Duration = Duration::from_millis(100);

/// The count of one stream.
#[derive(Debug)]
pub(super) struct Count {
    /// Without a file the log is written all the same.
    file: Option<Rc<File>>,
    stream: usize,
    known: LogCount,
    /// When a drop was last noted, and whether there were more since.
    noted: Option<Instant>,
    behind: bool,
}

impl Count {
    /// Opens the counts of stdout and stderr.
    pub(super) fn open(path: &Path) -> [Self; 2] {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(path).ok().map(Rc::new);
        [0, 1].map(|stream| Self {
            file: file.clone(),
            stream,
            known: file
                .as_ref()
                .and_then(|file| LogCount::read(file, stream))
                .unwrap_or_default(),
            noted: None,
            behind: false,
        })
    }

    /// Goes on from what was logged before, with a live file of this length.
    pub(super) fn begin(&mut self, length: u64) {
        self.known.seen = self.known.written(length);
        self.known.base = difference(self.known.seen, length);
        self.known.moving = 0;
        self.known.stage = Stage::Open;
        self.write();
    }

    /// The live file, which has this length, is about to be rotated away.
    pub(super) fn moving(&mut self, length: u64) {
        self.known.seen = self.known.written(length);
        self.known.moving = length;
        self.write();
    }

    /// The live file is another, or shorter: it had one length and has the other.
    pub(super) fn moved(&mut self, from: u64, to: u64) {
        self.known.moving = 0;
        self.known.seen = self.known.written(from);
        self.known.base = difference(self.known.seen, to);
        self.write();
    }

    pub(super) fn dropped(&mut self, bytes: u64) {
        self.known.dropped += bytes;
        self.behind = true;
        if self.noted.is_none_or(|noted| noted.elapsed() >= SPACING) {
            self.noted = Some(Instant::now());
            self.write();
        }
    }

    /// Notes what was dropped since it was last noted.
    pub(super) fn catch_up(&mut self) {
        if self.behind {
            self.write();
        }
    }

    /// Nothing more comes; the live file has this length.
    pub(super) fn end(&mut self, length: u64) {
        self.known.seen = self.known.written(length);
        self.known.stage = Stage::Over;
        self.write();
    }

    fn write(&mut self) {
        self.known.turn += 1;
        self.behind = false;
        if let Some(file) = &self.file {
            self.known.write(file, self.stream).ok(); // what is known stays known until the next time
        }
    }
}

fn difference(written: u64, length: u64) -> i64 {
    let exact = i128::from(written) - i128::from(length);
    i64::try_from(exact).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::log_counts;

    #[test]
    fn a_count_goes_on_across_rotations_truncations_runs_and_kills() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, log) = (folder.path().join("counts"), folder.path().join("log"));
        let open = || Count::open(&path).into_iter().nth(1).expect("two streams");
        let told = |length: u64| {
            let file = File::create(&log).expect("a file");
            file.set_len(length).expect("a length");
            let [_, stderr] = log_counts::read(&path, [&log, &log]).expect("readable");
            (stderr.written, stderr.dropped)
        };
        // A log that was there before anything was counted.
        let mut count = open();
        count.begin(500);
        assert_eq!(told(530), (30, 0));
        count.moving(600);
        assert_eq!((told(600), told(0)), ((100, 0), (100, 0)));
        // Killed in the middle of a rotation, before and after the file went.
        let mut killed = open();
        killed.begin(600);
        assert_eq!(told(601), (101, 0));
        count.moving(600);
        let mut killed = open();
        killed.begin(0);
        assert_eq!(told(1), (101, 0));
        count = killed;
        count.moving(50);
        count.moved(50, 0);
        assert_eq!(told(3), (153, 0));
        // Truncated from outside.
        count.moved(40, 10);
        assert_eq!(told(11), (191, 0));
        count.dropped(5);
        count.dropped(6);
        assert_eq!(told(11), (191, 5));
        count.catch_up();
        assert_eq!(told(11), (191, 11));
        count.end(20);
        // What became of the file between two runs does not matter.
        assert_eq!(
            (told(20), told(0), told(999)),
            ((200, 11), (200, 11), (200, 11))
        );
        let mut next = open();
        next.begin(7);
        assert_eq!(told(8), (201, 11));
    }
}
