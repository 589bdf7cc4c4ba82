//! Cursors against a model: every line exactly once, whatever the writer does meanwhile.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;
use crate::domain::log::{
    At, Case, CountQuery, Cursor, Direction, Ending, LogLine, PageQuery, Pattern, Search,
    SearchQuery, Sense, Stream, Streams, Wanted,
};
use crate::domain::log_level::LogLevel;

/// A log folder and a writer that rotates as a shim does: rename, then open anew.
struct Rig {
    _folder: tempfile::TempDir,
    reader: Reader,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let reader = Reader::new(LogFiles {
            stdout: folder.path().join("stdout.log"),
            stderr: folder.path().join("stderr.log"),
        });
        Self {
            _folder: folder,
            reader,
        }
    }

    fn path(&self, stream: Stream) -> PathBuf {
        self.reader.files().of(stream).to_owned()
    }

    fn write(&self, stream: Stream, text: impl AsRef<[u8]>) {
        append(&self.path(stream), text.as_ref());
    }

    /// Writes with a record in the time index.
    fn write_at(&self, stream: Stream, millis: u64, text: &str) {
        let path = self.path(stream);
        let length = fs::metadata(&path).map_or(0, |data| data.len());
        let mut record = length.to_le_bytes().to_vec();
        record.extend(millis.to_le_bytes());
        append(&index_of(&path), &record);
        append(&path, text.as_bytes());
    }

    fn rotate(&self, stream: Stream, keep: u32) {
        rotate(&self.path(stream), keep);
    }

    fn page(&self, at: At, direction: Direction, lines: usize) -> crate::domain::log::Page {
        self.reader
            .page(&query(at, direction, lines))
            .expect("a page")
    }

    fn all(&self) -> Vec<LogLine> {
        self.page(At::Start, Direction::Forward, PAGE_LINES).lines
    }

    fn search(&self, at: At, direction: Direction, wanted: &Wanted, budget: u64) -> Search {
        let mut at = at;
        loop {
            let query = SearchQuery {
                streams: Streams::Both,
                at,
                direction,
                wanted: wanted.clone(),
                filter: None,
            };
            let answer = self.reader.search_within(&query, budget).expect("a search");
            match answer {
                Search::Unfinished { cursor } => at = At::Cursor(cursor),
                Search::Found { .. } | Search::NotFound => return answer,
            }
        }
    }
}

fn query(at: At, direction: Direction, lines: usize) -> PageQuery {
    PageQuery {
        streams: Streams::Both,
        at,
        direction,
        lines,
        line_bytes: LINE_LIMIT,
        filter: None,
    }
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("open");
    file.write_all(bytes).expect("write");
}

fn index_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.idx", path.display()))
}

fn rotate(path: &Path, keep: u32) {
    for number in (1..keep).rev() {
        for name in [|path: &Path| path.to_owned(), index_of] {
            let from = name(&numbered(path, number));
            fs::rename(from, name(&numbered(path, number + 1))).ok(); // not that many yet
        }
    }
    fs::rename(path, numbered(path, 1)).ok(); // nothing was written yet
    fs::rename(index_of(path), index_of(&numbered(path, 1))).ok(); // as above
    File::create(path).expect("create");
}

fn text(line: &LogLine) -> String {
    String::from_utf8_lossy(&line.bytes).into_owned()
}

fn texts(lines: &[LogLine]) -> Vec<String> {
    lines.iter().map(text).collect()
}

fn pattern(text: &str) -> Wanted {
    Wanted::Pattern(Pattern::new(text, Case::Sensitive))
}

#[test]
fn a_reader_loses_and_doubles_nothing_while_a_writer_rotates() {
    const LINES: u64 = 20_000;
    let rig = Rig::new();
    let ended = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let path = rig.path(Stream::Stdout);
            let mut file = File::create(&path).expect("create");
            for line in 0..LINES {
                if line % 500 == 499 {
                    rotate(&path, 60);
                    file = OpenOptions::new().append(true).open(&path).expect("open");
                }
                let text = format!("line {line:010}\n");
                // In two parts, so that a reader meets unfinished lines.
                file.write_all(&text.as_bytes()[..7]).expect("write");
                file.write_all(&text.as_bytes()[7..]).expect("write");
            }
            ended.store(true, Ordering::SeqCst);
        });
        let mut at = At::Start;
        let mut expected = 0;
        loop {
            let was_ended = ended.load(Ordering::SeqCst);
            let page = rig.page(at, Direction::Forward, 300);
            assert!(!page.lost);
            for line in &page.lines {
                if line.ending == Ending::Whole {
                    assert_eq!(text(line), format!("line {expected:010}"));
                    expected += 1;
                }
            }
            at = At::Cursor(page.end);
            if page.at_end && was_ended {
                break;
            }
        }
        assert_eq!(expected, LINES);
    });
}

/// What a writer or a reader does next.
#[derive(Clone, Debug)]
enum Step {
    Write {
        stream: Stream,
        lines: u8,
        after: u16,
    },
    /// A line without its end, and the end with the next line.
    Part {
        stream: Stream,
    },
    Rotate {
        stream: Stream,
    },
    Read {
        lines: u8,
    },
}

fn stream() -> impl Strategy<Value = Stream> {
    prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (stream(), 1..30_u8, 0..300_u16)
            .prop_map(|(stream, lines, after)| Step::Write { stream, lines, after }),
        1 => stream().prop_map(|stream| Step::Part { stream }),
        2 => stream().prop_map(|stream| Step::Rotate { stream }),
        3 => (1..40_u8).prop_map(|lines| Step::Read { lines }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_give_every_line_exactly_once_in_both_directions(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let rig = Rig::new();
        let mut written: [Vec<String>; 2] = Default::default();
        let mut parts: [String; 2] = Default::default();
        let mut read: [Vec<String>; 2] = Default::default();
        let (mut at, mut millis, mut count) = (At::Start, 1000, 0);
        for step in steps {
            match step {
                Step::Write { stream, lines, after } => {
                    millis += u64::from(after);
                    for _ in 0..lines {
                        count += 1;
                        // Lines of very different lengths, empty ones too.
                        let line = "x".repeat(count % 7 * 13) + &count.to_string();
                        let part = std::mem::take(&mut parts[stream as usize]);
                        rig.write_at(stream, millis, &format!("{line}\n"));
                        written[stream as usize].push(part + &line);
                    }
                }
                Step::Part { stream } => {
                    rig.write_at(stream, millis, "part ");
                    parts[stream as usize].push_str("part ");
                }
                Step::Rotate { stream } => {
                    rig.rotate(stream, 99);
                    let part = std::mem::take(&mut parts[stream as usize]);
                    // Only a line that is longer than the file is ever cut in two.
                    if !part.is_empty() {
                        written[stream as usize].push(part);
                    }
                }
                Step::Read { lines } => {
                    let page = rig.page(at, Direction::Forward, usize::from(lines));
                    prop_assert!(!page.lost);
                    keep(&mut read, &page.lines);
                    at = At::Cursor(page.end);
                }
            }
        }
        loop {
            let page = rig.page(at, Direction::Forward, 17);
            keep(&mut read, &page.lines);
            at = At::Cursor(page.end);
            if page.at_end {
                break;
            }
        }
        prop_assert_eq!(&read, &written);
        let forward = rig.all();
        let mut backward: Vec<LogLine> = Vec::new();
        let mut at = At::End;
        loop {
            let mut page = rig.page(at, Direction::Backward, 13);
            if backward.is_empty() {
                prop_assert!(page.at_end);
            }
            page.lines.append(&mut backward);
            backward = page.lines;
            at = At::Cursor(page.start);
            if page.at_start {
                break;
            }
        }
        prop_assert_eq!(texts(&forward), texts(&backward));
        let whole = forward.iter().filter(|line| line.ending == Ending::Whole);
        prop_assert!(whole.is_sorted_by_key(|line| line.at));
        let size = rig.reader.size(Streams::Both, Some(Cursor::default())).expect("a size");
        let whole = written.iter().map(Vec::len).sum::<usize>() as u64;
        prop_assert_eq!((size.lines, size.before, size.counted), (whole, Some(0), true));
    }

    #[test]
    fn a_search_finds_what_looking_at_every_line_finds(
        steps in prop::collection::vec((stream(), "[aAbc \\-]{0,6}", 0..200_u16, 0..9_u8), 0..80),
        wanted in prop::sample::select(vec![
            "a", "^a", "b$", "[^a]c", "a.*c", "(?i)A", "\\bab?\\b", "^$", "\\Aa", "c\\z", "(a|b)-", "\\s",
            "(?-m)^a", "(?s)a.b", "x",
        ]),
        budget in prop::sample::select(vec![1_u64, 40, 1 << 20]),
    ) {
        let rig = Rig::new();
        let mut millis = 5000;
        for (stream, text, after, fate) in steps {
            millis += u64::from(after);
            rig.write_at(stream, millis, &format!("{text}\n"));
            if fate == 0 {
                rig.rotate(stream, 99);
            }
        }
        let regex = regex::Regex::new(wanted).expect("a pattern");
        let lines = rig.all();
        let expected: Vec<_> = lines.iter().filter(|line| regex.is_match(&text(line))).collect();
        let wanted = pattern(wanted);
        let mut found = Vec::new();
        let mut at = At::Start;
        while let Search::Found { cursor, line } = rig.search(at, Direction::Forward, &wanted, budget) {
            let page = rig.page(At::Cursor(cursor), Direction::Forward, 1);
            prop_assert_eq!(page.lines[0].place, line);
            found.push(line);
            at = At::Cursor(page.end);
        }
        prop_assert_eq!(&found, &expected.iter().map(|line| line.place).collect::<Vec<_>>());
        let mut backward = Vec::new();
        let mut at = At::End;
        while let Search::Found { cursor, line } = rig.search(at, Direction::Backward, &wanted, budget) {
            backward.insert(0, line);
            at = At::Cursor(cursor);
        }
        prop_assert_eq!(&backward, &found);
        let middle = rig.page(At::Start, Direction::Forward, lines.len() / 2);
        let before = expected.iter().filter(|line| middle.lines.contains(line)).count() as u64;
        let mut counted = (0, 0);
        let mut at = At::Start;
        loop {
            let query = CountQuery {
                streams: Streams::Both,
                at,
                wanted: wanted.clone(),
                filter: None,
                mark: Some(middle.end),
            };
            let count = rig.reader.count_within(&query, budget).expect("a count");
            counted = (counted.0 + count.matches, counted.1 + count.before);
            at = At::Cursor(count.cursor);
            if count.done {
                break;
            }
        }
        prop_assert_eq!(counted, (found.len() as u64, before));
    }
}

fn keep(read: &mut [Vec<String>; 2], lines: &[LogLine]) {
    for line in lines.iter().filter(|line| line.ending == Ending::Whole) {
        read[line.stream as usize].push(text(line));
    }
}

#[test]
fn the_end_reaches_back_into_rotated_files_and_shows_what_has_no_end_yet() {
    let rig = Rig::new();
    rig.write(Stream::Stdout, "1\n2\n");
    rig.rotate(Stream::Stdout, 9);
    rig.write(Stream::Stdout, "3\n\n");
    rig.rotate(Stream::Stdout, 9);
    rig.write(Stream::Stdout, "5\n6");
    for (count, expected) in [
        (0, vec!["6"]),
        (1, vec!["5", "6"]),
        (3, vec!["3", "", "5", "6"]),
        (99, vec!["1", "2", "3", "", "5", "6"]),
    ] {
        let page = rig.page(At::End, Direction::Backward, count);
        assert_eq!(texts(&page.lines), expected, "{count}");
        assert!(page.at_end && page.at_start == (count > 4));
        assert_eq!(
            page.lines.last().map(|line| line.ending),
            Some(Ending::Unfinished)
        );
        assert!(!rig.reader.grown(Streams::Both, &page.end).expect("a look"));
        let on = rig.page(At::Cursor(page.end), Direction::Forward, 9);
        assert_eq!(texts(&on.lines), ["6"]);
    }
}

#[test]
fn growth_is_seen_across_rotation_and_only_when_there_is_a_whole_line() {
    let rig = Rig::new();
    let grown = |cursor: &Cursor| rig.reader.grown(Streams::Both, cursor).expect("a look");
    let nothing = rig.page(At::End, Direction::Backward, 9);
    assert!(nothing.at_start && nothing.at_end && !grown(&nothing.end));
    rig.write(Stream::Stderr, "a");
    assert!(!grown(&nothing.end));
    rig.write(Stream::Stderr, "b\n");
    assert!(grown(&nothing.end));
    let page = rig.page(At::Cursor(nothing.end), Direction::Forward, 9);
    assert_eq!(texts(&page.lines), ["ab"]);
    assert!(!grown(&page.end));
    rig.rotate(Stream::Stderr, 9);
    let empty = rig.page(At::Cursor(page.end), Direction::Forward, 9);
    assert!(empty.lines.is_empty() && empty.at_end && !grown(&empty.end));
    rig.write(Stream::Stderr, "c\n");
    assert!(grown(&empty.end) && grown(&page.end));
    let page = rig.page(At::Cursor(page.end), Direction::Forward, 9);
    assert_eq!(texts(&page.lines), ["c"]);
}

#[test]
fn what_was_rotated_away_is_told_and_reading_goes_on_with_the_oldest_line() {
    let rig = Rig::new();
    rig.write(Stream::Stderr, "1\n");
    let page = rig.page(At::Start, Direction::Forward, 1);
    for line in 2..6 {
        rig.rotate(Stream::Stderr, 2);
        rig.write(Stream::Stderr, format!("{line}\n"));
    }
    let page = rig.page(At::Cursor(page.end), Direction::Forward, 9);
    assert!(page.lost);
    assert_eq!(texts(&page.lines), ["3", "4", "5"]);
    assert!(!rig.page(At::Cursor(page.end), Direction::Forward, 9).lost);
}

#[test]
fn a_log_that_somebody_truncated_is_read_from_its_new_beginning() {
    let rig = Rig::new();
    rig.write(Stream::Stderr, "a long first line\n");
    let page = rig.page(At::End, Direction::Backward, 9);
    File::create(rig.path(Stream::Stderr)).expect("truncate");
    rig.write(Stream::Stderr, "new\n");
    assert!(rig.reader.grown(Streams::Both, &page.end).expect("a look"));
    let page = rig.page(At::Cursor(page.end), Direction::Forward, 9);
    assert_eq!(texts(&page.lines), ["new"]);
}

#[test]
fn a_time_leads_to_the_first_line_written_then_or_later() {
    let rig = Rig::new();
    for (millis, stream, line) in [
        (1000, Stream::Stdout, "o1"),
        (1100, Stream::Stderr, "e1"),
        (1200, Stream::Stdout, "o2"),
        (1200, Stream::Stderr, "e2"),
        (3000, Stream::Stderr, "e3"),
    ] {
        rig.write_at(stream, millis, &format!("{line}\n"));
        if millis == 1100 {
            rig.rotate(stream, 3);
        }
    }
    for (millis, expected) in [
        (0, "o1 e1 o2 e2 e3"),
        (1001, "e1 o2 e2 e3"),
        (1200, "o2 e2 e3"),
        (1201, "e3"),
        (3001, ""),
    ] {
        let page = rig.page(At::Time(millis), Direction::Forward, 9);
        assert_eq!(texts(&page.lines).join(" "), expected, "{millis}");
    }
}

#[test]
fn a_huge_line_is_cut_and_says_so_and_its_neighbours_are_whole() {
    let rig = Rig::new();
    let huge = "y".repeat(LINE_LIMIT * 2 + 5);
    let long = "x".repeat(90_000);
    rig.write(Stream::Stdout, format!("a\n{huge}\nb\n{long}\nc\n"));
    let forward = rig.page(At::Start, Direction::Forward, 9);
    let backward = rig.page(At::End, Direction::Backward, 9);
    assert_eq!(forward.lines[0].bytes, b"a");
    let mut lines = forward.lines.clone();
    // A page ends behind a megabyte of text.
    lines.extend(
        rig.page(At::Cursor(forward.end), Direction::Forward, 9)
            .lines,
    );
    let lengths: Vec<u64> = lines.iter().map(|line| line.length).collect();
    assert_eq!(lengths, [1, huge.len() as u64, 1, 90_000, 1]);
    assert_eq!(lines[1].bytes.len(), LINE_LIMIT);
    assert!(lines[1].is_cut() && !lines[3].is_cut());
    assert_eq!(backward.lines, lines[1..]);
    let short = PageQuery {
        line_bytes: 100,
        ..query(At::Start, Direction::Forward, 9)
    };
    let short = rig.reader.page(&short).expect("a page");
    assert_eq!(short.lines.len(), 5);
    assert_eq!(
        (short.lines[3].bytes.len(), short.lines[3].length),
        (100, 90_000)
    );
}

#[test]
fn a_million_lines_are_counted_and_searched_and_their_end_is_read_alone() {
    let rig = Rig::new();
    let mut bytes = Vec::with_capacity(40 << 20);
    for line in 0..1_000_000 {
        let level = if line % 250_000 == 249_999 { 'E' } else { 'I' };
        writeln!(bytes, "0.00.000.000 {level} line {line:07}").expect("memory");
    }
    rig.write(Stream::Stderr, bytes);
    let page = rig.page(At::End, Direction::Backward, 100);
    assert_eq!(
        text(&page.lines[99]),
        "0.00.000.000 I line 0999999".replace('I', "E")
    );
    let page = rig.page(At::Cursor(page.start), Direction::Backward, 100);
    assert_eq!(text(&page.lines[99]), "0.00.000.000 I line 0999899");
    let mut size = Default::default();
    while !std::mem::replace(
        &mut size,
        rig.reader
            .size(Streams::Both, Some(page.end))
            .expect("a size"),
    )
    .counted
    {}
    assert_eq!((size.lines, size.before), (1_000_000, Some(999_900)));
    let found = rig.search(
        At::Start,
        Direction::Forward,
        &pattern("line 0777777$"),
        1 << 20,
    );
    let Search::Found { cursor, .. } = found else {
        unreachable!("it is there: {found:?}");
    };
    let page = rig.page(At::Cursor(cursor), Direction::Forward, 1);
    assert_eq!(text(&page.lines[0]), "0.00.000.000 I line 0777777");
    let error = Wanted::Level(LogLevel::Error);
    for (direction, line) in [
        (Direction::Forward, "0999999"),
        (Direction::Backward, "0749999"),
    ] {
        let found = rig.search(At::Cursor(cursor), direction, &error, 32 << 20);
        let Search::Found { cursor, .. } = found else {
            unreachable!("it is there: {found:?}");
        };
        let page = rig.page(At::Cursor(cursor), Direction::Forward, 1);
        assert!(text(&page.lines[0]).ends_with(line));
    }
}

#[test]
fn a_wrong_pattern_is_named_with_what_is_wrong() {
    let rig = Rig::new();
    let query = PageQuery {
        filter: Some(Pattern::new("a(b", Case::Smart)),
        ..query(At::End, Direction::Backward, 9)
    };
    let error = rig
        .reader
        .page(&query)
        .expect_err("a wrong pattern")
        .to_string();
    assert_eq!(error, "\"a(b\" is not a regular expression: unclosed group");
}

#[test]
fn a_filter_may_keep_the_lines_that_do_not_match() {
    let rig = Rig::new();
    rig.write(
        Stream::Stdout,
        "health ok\nslot busy\n\nHealth bad\nslot idle\n",
    );
    let filter = Pattern {
        sense: Sense::Others,
        ..Pattern::new("health", Case::Smart)
    };
    let query = PageQuery {
        filter: Some(filter.clone()),
        ..query(At::Start, Direction::Forward, 9)
    };
    let page = rig.reader.page(&query).expect("a page");
    assert_eq!(texts(&page.lines), ["slot busy", "", "slot idle"]);
    let search = SearchQuery {
        streams: Streams::Both,
        at: At::Start,
        direction: Direction::Forward,
        wanted: pattern("slot|bad"),
        filter: Some(filter),
    };
    let Search::Found { line, .. } = rig.reader.search(&search).expect("a search") else {
        unreachable!("two lines match and pass");
    };
    assert_eq!(line, page.lines[0].place);
}

#[test]
fn smart_case_minds_only_capitals_that_are_letters() {
    let rig = Rig::new();
    rig.write(Stream::Stdout, "Error one\nerror two\nERROR 3\n");
    for (text, expected) in [
        ("error", 3),
        ("Error", 1),
        ("error\\W", 3),
        ("error \\d", 1),
    ] {
        let query = PageQuery {
            filter: Some(Pattern::new(text, Case::Smart)),
            ..query(At::Start, Direction::Forward, 9)
        };
        let lines = rig.reader.page(&query).expect("a page").lines;
        assert_eq!(lines.len(), expected, "{text}");
    }
}
