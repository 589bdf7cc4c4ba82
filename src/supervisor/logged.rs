//! How much was logged, for `/metrics`.
//!
//! The shims count; this only reads, when somebody asks. What is told never falls while an owner
//! lives, not even when somebody truncates a log and its server is silent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::logs::LogFiles;
use crate::process::log_counts::{self, Logged};
use crate::process::runfiles::RunPaths;

/// What was last told of the logs of each run folder; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    shared: Arc<Mutex<BTreeMap<PathBuf, [Logged; 2]>>>,
}

impl Told {
    /// Returns how much was logged to stdout and stderr; `None` where that cannot be read. Whatever
    /// is not asked for is forgotten.
    pub(super) fn of_all(&self, asked: &[(RunPaths, LogFiles)]) -> Vec<Option<[Logged; 2]>> {
        let mut told = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *told);
        let mut of_one = |(paths, files): &(RunPaths, LogFiles)| {
            let counts = paths.log_counts();
            let before = before.remove(&counts).unwrap_or_default();
            let now = log_counts::read(&counts, [&files.stdout, &files.stderr]).ok()?;
            let logged = [0, 1].map(|stream: usize| never_less(before[stream], now[stream]));
            told.insert(counts, logged);
            Some(logged)
        };
        asked.iter().map(&mut of_one).collect()
    }
}

fn never_less(before: Logged, now: Logged) -> Logged {
    // Counts that begin anew have begun anew.
    if now.turn < before.turn {
        return now;
    }
    Logged {
        turn: now.turn,
        written: now.written.max(before.written),
        dropped: now.dropped.max(before.dropped),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::process::log_counts::{LogCount, Stage};

    #[test]
    fn what_was_told_does_not_fall_with_a_truncated_log_but_with_counts_that_are_new() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = RunPaths::new(folder.path().to_owned());
        let files = LogFiles {
            stdout: folder.path().join("stdout.log"),
            stderr: folder.path().join("stderr.log"),
        };
        let asked = [(paths.clone(), files.clone())];
        let told = Told::default();
        let ask = || told.of_all(&asked)[0].map(|[_, stderr]| stderr.written);
        let count = |turn| {
            let options = fs::File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(paths.log_counts());
            let file = options.expect("a file");
            let count = LogCount {
                turn,
                stage: Stage::Open,
                ..LogCount::default()
            };
            for stream in [0, 1] {
                count.write(&file, stream).expect("written");
            }
        };
        assert_eq!(ask(), Some(0), "nobody has counted yet");
        count(5);
        fs::write(&files.stderr, [b'x'; 30]).expect("written");
        assert_eq!(ask(), Some(30));
        fs::write(&files.stderr, [b'x'; 10]).expect("written");
        assert_eq!(ask(), Some(30));
        count(1);
        assert_eq!(ask(), Some(10));
        fs::write(paths.log_counts(), "damaged").expect("written");
        assert_eq!(ask(), None);
    }
}
