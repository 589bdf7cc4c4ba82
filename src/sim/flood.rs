//! A flood of numbered log lines, from a thread of its own.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::faults::{Flood, FloodStream};

/// What a pipe takes in one piece (`PIPE_BUF`): no line is ever torn by another writer's.
const PIECE: usize = 4096;

/// Digits of a line's number.
const DIGITS: usize = 10;

/// What stands before the number.
const LABEL: &[u8] = b"flood ";

/// Between two looks at the clock, so that a paced flood costs little.
const TICK: Duration = Duration::from_millis(10);

/// A reader that is not ready, or not there, is asked again after this.
const RETRY: Duration = Duration::from_millis(1);

/// The thread needs next to nothing.
const STACK_BYTES: usize = 64 << 10;

/// Starts the flood; it ends with its last line or with the process. What is returned hears of the
/// last line.
pub(super) fn start(flood: Flood) -> io::Result<oneshot::Receiver<()>> {
    // Descriptors of its own: a blocked flood must never hold the lock of stderr.
    let stderr = || io::stderr().as_fd().try_clone_to_owned();
    let stdout = || io::stdout().as_fd().try_clone_to_owned();
    let mut outputs = match flood.stream {
        FloodStream::Stderr => vec![File::from(stderr()?)],
        FloodStream::Stdout => vec![File::from(stdout()?)],
        FloodStream::Both => vec![File::from(stderr()?), File::from(stdout()?)],
    };
    let (ended, end) = oneshot::channel();
    let thread = thread::Builder::new().name("flood".to_owned());
    thread.stack_size(STACK_BYTES).spawn(move || {
        run(flood, |piece| {
            outputs
                .iter_mut()
                .try_for_each(|output| write_or_drop(output, piece))
        })
        .ok(); // an output that fails for good ends the flood
        ended.send(()).ok(); // nobody has to wait for it
    })?;
    Ok(end)
}

/// Writes the lines at their pace.
fn run(flood: Flood, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut piece = Piece::new(flood.length);
    let last = match flood.lines {
        0 => u64::MAX,
        lines => lines,
    };
    let start = Instant::now();
    let mut written = 0;
    while written < last {
        let due = if flood.lines_per_second > 0.0 {
            let lines = start.elapsed().as_secs_f64() * flood.lines_per_second;
            Duration::try_from_secs_f64(lines).map_or(u64::MAX, |lines| lines.as_secs())
        } else {
            u64::MAX
        };
        while written < due.min(last) {
            let lines = piece.lines().min(due.min(last) - written);
            write(piece.fill(lines))?;
            written += lines;
        }
        if written < last {
            let next = (written + 1) as f64 / flood.lines_per_second;
            let next = Duration::try_from_secs_f64(next).unwrap_or(Duration::MAX);
            thread::sleep(next.saturating_sub(start.elapsed()).max(TICK));
        }
    }
    Ok(())
}

/// Writes a piece, or drops it when nobody reads: the real server's log outlives its reader too.
fn write_or_drop(output: &mut File, piece: &[u8]) -> io::Result<()> {
    match write_patiently(output, piece) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            thread::sleep(RETRY);
            Ok(())
        }
        written => written,
    }
}

fn write_patiently(output: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// As many lines as fit in one write; only their numbers change.
struct Piece {
    bytes: Vec<u8>,
    length: usize,
    /// The number of the last line, as it is written: counting in digits is cheaper than dividing.
    number: [u8; DIGITS],
}

impl Piece {
    fn new(length: usize) -> Self {
        let mut line = LABEL.to_vec();
        line.resize(LABEL.len() + DIGITS, b'0');
        line.push(b' ');
        line.resize(length.saturating_sub(1).max(line.len()), b'.');
        line.push(b'\n');
        let length = line.len();
        Self {
            bytes: line.repeat((PIECE / length).max(1)),
            length,
            number: [b'0'; DIGITS],
        }
    }

    fn lines(&self) -> u64 {
        (self.bytes.len() / self.length) as u64
    }

    /// Returns that many lines with the next numbers.
    fn fill(&mut self, lines: u64) -> &[u8] {
        let count = usize::try_from(lines).unwrap_or(usize::MAX);
        for line in self.bytes.chunks_mut(self.length).take(count) {
            count_on(&mut self.number);
            if let Some(place) = line.get_mut(LABEL.len()..LABEL.len() + DIGITS) {
                place.copy_from_slice(&self.number);
            }
        }
        let end = self.length.saturating_mul(count).min(self.bytes.len());
        self.bytes.get(..end).unwrap_or_default()
    }
}

/// Adds one to a number in digits; after the largest comes 0.
fn count_on(number: &mut [u8; DIGITS]) {
    for digit in number.iter_mut().rev() {
        if *digit != b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn lines_are_numbered_without_gaps_and_have_the_same_length() {
        for (rate, lines, length) in [
            (0.0, 250, 100),
            (0.0, 3, 4096),
            (0.0, 1000, 20),
            (1e6, 99, 64),
        ] {
            let mut text = Vec::new();
            let flood = Flood {
                lines_per_second: rate,
                stream: FloodStream::Stderr,
                lines,
                length,
            };
            run(flood, |piece| {
                assert!(piece.len() <= PIECE);
                text.extend_from_slice(piece);
                Ok(())
            })
            .expect("the writer never fails");
            assert_eq!(text.len() as u64, lines * length as u64);
            let text = String::from_utf8(text).expect("the lines are text");
            for (number, line) in text.lines().enumerate() {
                assert_eq!(line.len() + 1, length);
                assert!(line.starts_with(&format!("flood {:010} ", number + 1)));
            }
        }
    }

    #[test]
    fn a_flood_outlives_its_reader_and_goes_on_where_it_is() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let mut output = File::from(std::os::fd::OwnedFd::from(writer));
        // What another reader would open again; the pipe itself has none for a while.
        let again = format!("/proc/self/fd/{}", output.as_raw_fd());
        drop(reader);
        write_or_drop(&mut output, b"dropped\n").expect("no reader is no error");
        let mut reader = File::open(again).expect("a reader again");
        write_or_drop(&mut output, b"read\n").expect("written");
        drop(output);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("readable");
        assert_eq!(text, "read\n");
    }

    #[test]
    fn an_output_that_fails_for_good_ends_the_flood() {
        let flood = Flood {
            lines_per_second: 0.0,
            stream: FloodStream::Stderr,
            lines: 0,
            length: 100,
        };
        let ended = run(flood, |_| Err(ErrorKind::StorageFull.into()));
        assert_eq!(
            ended.map_err(|error| error.kind()),
            Err(ErrorKind::StorageFull)
        );
    }
}
