//! How far a start has come, and whether it still moves. Pure, but for two small readers of files.
//!
//! A server that loads reads its model, by `read` or by touching its mapping, grows, and logs. Any
//! of these is progress. How much of the model it has read is the most of what it asked the kernel
//! for, what the kernel read from the disk for it, and what it has in memory.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// Growth of memory that is more than a server waiting for something shows by itself.
const LEAST_GROWTH: u64 = 1 << 20;

/// The stretch over which the speed of reading is averaged.
const SPEED_STRETCH: Duration = Duration::from_secs(3);

/// Shown until the server says that it is ready.
const MOST_PERCENT: u64 = 99;

/// What can be seen of a loading server from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// Bytes read by calls, from the disk or from its cache.
    pub(super) asked: u64,
    /// Bytes the kernel read from the disk.
    pub(super) fetched: u64,
    pub(super) resident: u64,
    /// Bytes in its log files.
    pub(super) logged: u64,
}

/// A start under way.
#[derive(Debug)]
pub(super) struct Progress {
    /// Bytes of the model.
    total: Option<u64>,
    last: Option<Signs>,
    /// When it last moved.
    moved: Instant,
    read: VecDeque<(Instant, u64)>,
}

/// What there is to say of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) percent: Option<u8>,
    pub(super) activity: Option<String>,
    /// How long nothing has moved.
    pub(super) still: Duration,
}

impl Progress {
    pub(super) fn new(total: Option<u64>, now: Instant) -> Self {
        Self {
            total: total.filter(|total| *total > 0),
            last: None,
            moved: now,
            read: VecDeque::new(),
        }
    }

    pub(super) fn take(&mut self, signs: Signs, now: Instant) -> Stage {
        if self.last.is_none_or(|last| signs.moved_since(&last)) {
            self.moved = now;
            self.last = Some(signs);
        }
        let read = signs.asked.max(signs.fetched).max(signs.resident);
        self.read.push_back((now, read));
        while self
            .read
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > SPEED_STRETCH)
        {
            self.read.pop_front();
        }
        let percent = |total: u64| (u128::from(read) * 100 / u128::from(total)) as u64;
        Stage {
            percent: self
                .total
                .and_then(|total| u8::try_from(percent(total).min(MOST_PERCENT)).ok()),
            activity: self.total.map(|total| self.activity(read, total)),
            still: now.duration_since(self.moved),
        }
    }

    fn activity(&self, read: u64, total: u64) -> String {
        if read >= total {
            return format!("all {} are read, getting ready", size(total));
        }
        let speed = match (self.read.front(), self.read.back()) {
            (Some((begun, from)), Some((ended, to))) if ended > begun => {
                let seconds = (*ended - *begun).as_secs_f64();
                let per_second = (to.saturating_sub(*from)) as f64 / seconds;
                format!(", {}/s", size(per_second as u64))
            }
            (_, _) => String::new(),
        };
        let unit = unit(total);
        let value = read as f64 / unit.0;
        format!("reading {value:.1} of {}{speed}", size(total))
    }
}

impl Signs {
    fn moved_since(&self, last: &Self) -> bool {
        self.asked > last.asked
            || self.fetched > last.fetched
            || self.logged != last.logged
            || self.resident > last.resident + LEAST_GROWTH
    }

    /// Adds what `/proc/PID/io` says.
    pub(super) fn read_io(&mut self, pid: i32) {
        let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse().ok())
                .unwrap_or(0)
        };
        self.asked = value("rchar:");
        self.fetched = value("read_bytes:");
    }
}

/// Returns the size of a model, all parts of a split one together.
pub(super) fn model_size(path: &Path) -> Option<u64> {
    let own = fs::metadata(path).ok()?.len();
    let Some((stem, parts)) = split(path) else {
        return Some(own);
    };
    let folder = path.parent()?;
    let sizes = (1..=parts).filter_map(|part| {
        let name = format!("{stem}-{part:05}-of-{parts:05}.gguf");
        Some(fs::metadata(folder.join(name)).ok()?.len())
    });
    Some(sizes.sum::<u64>().max(own))
}

/// Takes `model-00001-of-00003.gguf` apart.
fn split(path: &Path) -> Option<(&str, u32)> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
    let (rest, parts) = stem.rsplit_once("-of-")?;
    let (stem, part) = rest.rsplit_once('-')?;
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(part) && is_number(parts)).then_some((stem, parts.parse().ok()?))
}

/// Divisor and name of the unit in which a size is shown; models are sold in powers of ten.
fn unit(size: u64) -> (f64, &'static str) {
    if size >= 1_000_000_000 {
        (1e9, "GB")
    } else {
        (1e6, "MB")
    }
}

fn size(bytes: u64) -> String {
    let (divisor, name) = unit(bytes);
    format!("{:.1} {name}", bytes as f64 / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    #[tokio::test(start_paused = true)]
    async fn reading_is_told_with_its_share_and_speed() {
        let begun = Instant::now();
        let mut progress = Progress::new(Some(22 * GB), begun);
        let rows = [
            (0, 0, Some(0), "reading 0.0 of 22.0 GB"),
            (1, 11 * GB / 10, Some(5), "reading 1.1 of 22.0 GB, 1.1 GB/s"),
            (
                2,
                22 * GB / 10,
                Some(10),
                "reading 2.2 of 22.0 GB, 1.1 GB/s",
            ),
            (12, 142 * GB / 10, Some(64), "reading 14.2 of 22.0 GB"),
            (13, 22 * GB, Some(99), "all 22.0 GB are read, getting ready"),
        ];
        for (second, asked, percent, activity) in rows {
            let signs = Signs {
                asked,
                ..Signs::default()
            };
            let stage = progress.take(signs, begun + Duration::from_secs(second));
            assert_eq!(stage.percent, percent, "{second}");
            assert_eq!(stage.activity.as_deref(), Some(activity), "{second}");
            assert_eq!(stage.still, Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_reading_growing_and_logging_are_progress() {
        let begun = Instant::now();
        let mut progress = Progress::new(None, begun);
        let signs = |asked, fetched, resident, logged| Signs {
            asked,
            fetched,
            resident,
            logged,
        };
        let rows = [
            (signs(1, 1, GB, 1), 0),
            (signs(1, 1, GB, 1), 10),
            (signs(1, 1, GB + 4096, 1), 20),
            (signs(1, 1, GB + 2 * LEAST_GROWTH, 1), 0),
            (signs(1, 1, GB, 1), 10),
            (signs(2, 1, GB, 1), 0),
            (signs(2, 2, GB, 1), 0),
            (signs(2, 2, GB, 9), 0),
            // The log was rotated.
            (signs(2, 2, GB, 0), 0),
            (signs(2, 2, GB, 0), 10),
        ];
        for (number, (signs, still)) in rows.into_iter().enumerate() {
            let now = begun + Duration::from_secs(10 * number as u64);
            let stage = progress.take(signs, now);
            assert_eq!(stage.still, Duration::from_secs(still), "row {number}");
            assert_eq!((stage.percent, stage.activity), (None, None));
        }
    }

    #[test]
    fn a_split_model_is_as_large_as_all_its_parts() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, size: usize| {
            let path = folder.path().join(name);
            fs::write(&path, vec![0; size]).expect("written");
            path
        };
        let whole = write("whole.gguf", 7);
        let first = write("m-00001-of-00003.gguf", 1);
        write("m-00002-of-00003.gguf", 2);
        write("m-00003-of-00003.gguf", 4);
        let odd = write("m-1-of-3.gguf", 5);
        assert_eq!(model_size(&whole), Some(7));
        assert_eq!(model_size(&first), Some(7));
        assert_eq!(model_size(&odd), Some(5));
        assert_eq!(model_size(&folder.path().join("none.gguf")), None);
    }

    #[test]
    fn what_we_read_ourselves_is_seen() {
        let own = std::process::id().cast_signed();
        let mut before = Signs::default();
        before.read_io(own);
        fs::read("/proc/self/status").expect("readable");
        let mut after = Signs::default();
        after.read_io(own);
        assert!(after.asked > before.asked, "{before:?} {after:?}");
    }
}
