//! Reading a log of a million lines: its end, its size, a search and a count.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

use llama_orch::domain::log::{
    At, Case, CountQuery, Direction, PageQuery, Pattern, Search, SearchQuery, Streams, Wanted,
};
use llama_orch::domain::log_level::LogLevel;
use llama_orch::logs::{LogFiles, Reader};

use crate::table::{Floor, Target, row, timed};

const LINES: u64 = 1_000_000;

/// Repetitions of each number.
const RUNS: usize = 9;

pub(crate) fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("stderr.log");
    write(&log);
    let files = LogFiles {
        stdout: folder.path().join("stdout.log"),
        stderr: log.clone(),
    };
    let reader = || Reader::new(files.clone());
    let floor = |what, args: &[&str]| Floor {
        what,
        value: timed(RUNS, || {
            let mut command = Command::new(args[0]);
            // Not /dev/null: grep looks for one line only when nobody reads.
            command.args(&args[1..]).arg(&log).output().unwrap();
        }),
    };

    let open = timed(RUNS, || {
        assert_eq!(reader().page(&end()).unwrap().lines.len(), 100);
    });
    let tail = floor("tail -n 100", &["tail", "-n", "100"]);
    let what = "log of 1 M lines: opened at its end";
    row(what, open, "ms", &tail, Target::AtMost(50.0));

    let counted = timed(RUNS, || {
        let reader = reader();
        while !reader.size(Streams::Both, None).unwrap().counted {}
        assert_eq!(reader.size(Streams::Both, None).unwrap().lines, LINES);
    });
    let wc = floor("wc -l", &["wc", "-l"]);
    let what = "log of 1 M lines: all lines counted and indexed";
    row(what, counted, "ms", &wc, Target::AtMost(250.0));

    let last = "task 0999999 ";
    let searched = timed(RUNS, || assert!(search(&reader(), &pattern(last))));
    let grep = floor("grep -m1", &["grep", "-m1", last]);
    let what = "log of 1 M lines: search up to the last line";
    row(what, searched, "ms", &grep, Target::Times(3.0));

    let some = "task [0-9]+77 .*done";
    let matched = timed(RUNS, || assert_eq!(count(&reader(), some), LINES / 100));
    let grep = floor("grep -cE", &["grep", "-cE", some]);
    let what = "log of 1 M lines: 10,000 matches counted";
    row(what, matched, "ms", &grep, Target::Times(3.0));

    let error = Wanted::Level(LogLevel::Error);
    let found = timed(RUNS, || assert!(search(&reader(), &error)));
    let grep = floor(
        "grep -m1 -E '^[0-9.]+ E '",
        &["grep", "-m1", "-E", "^[0-9.]+ E "],
    );
    let what = "log of 1 M lines: next error, on the last line";
    row(what, found, "ms", &grep, Target::Times(3.0));
}

fn write(log: &Path) {
    let mut file = BufWriter::new(File::create(log).unwrap());
    for line in 0..LINES {
        let level = if line + 1 == LINES { 'E' } else { 'I' };
        writeln!(
            file,
            "12.34.567.890 {level} slot print_timing: id  3 | task {line:07} | prompt done, n_past = 8192, n_tokens = 2048"
        )
        .unwrap();
    }
    file.flush().unwrap();
}

fn end() -> PageQuery {
    PageQuery {
        streams: Streams::Both,
        at: At::End,
        direction: Direction::Backward,
        lines: 100,
        line_bytes: 4096,
        filter: None,
    }
}

fn pattern(text: &str) -> Wanted {
    Wanted::Pattern(Pattern::new(text, Case::Sensitive))
}

/// Searches from the start as the dashboard does, a bounded part at a time.
fn search(reader: &Reader, wanted: &Wanted) -> bool {
    let mut at = At::Start;
    loop {
        let query = SearchQuery {
            streams: Streams::Both,
            at,
            direction: Direction::Forward,
            wanted: wanted.clone(),
            filter: None,
        };
        match reader.search(&query).unwrap() {
            Search::Found { .. } => return true,
            Search::NotFound => return false,
            Search::Unfinished { cursor } => at = At::Cursor(cursor),
        }
    }
}

fn count(reader: &Reader, text: &str) -> u64 {
    let mut at = At::Start;
    let mut matches = 0;
    loop {
        let query = CountQuery {
            streams: Streams::Both,
            at,
            wanted: pattern(text),
            filter: None,
            mark: None,
        };
        let count = reader.count(&query).unwrap();
        matches += count.matches;
        if count.done {
            return matches;
        }
        at = At::Cursor(count.cursor);
    }
}
