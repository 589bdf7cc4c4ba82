//! What goes over the wire comes back as it was.

use super::{LogPageBody, LogQuery, LogSearchBody};
use crate::domain::log::{
    At, Case, CountQuery, Cursor, Direction, Ending, FileId, LogLine, Page, PageQuery, Pattern,
    Place, Search, SearchQuery, Sense, Stream, Streams, Wanted,
};
use crate::domain::log_level::LogLevel;

fn cursor() -> Cursor {
    Cursor {
        stdout: None,
        stderr: Some(place()),
    }
}

fn place() -> Place {
    Place {
        file: FileId {
            inode: 12,
            born: 345,
        },
        offset: 6,
    }
}

#[test]
fn questions_are_read_back_as_they_were_asked() {
    let filter = Some(Pattern {
        text: "a&b=c ü".to_owned(),
        case: Case::Smart,
        sense: Sense::Others,
    });
    for at in [
        At::Start,
        At::End,
        At::Cursor(cursor()),
        At::Time(1_700_000_000_123),
    ] {
        for direction in [Direction::Forward, Direction::Backward] {
            let page = PageQuery {
                streams: Streams::Stderr,
                at,
                direction,
                lines: 3,
                line_bytes: 4096,
                filter: filter.clone(),
            };
            let text = serde_urlencoded::to_string(LogQuery::of_page(&page, Some(7)));
            let body: LogQuery =
                serde_urlencoded::from_str(&text.expect("a query")).expect("a query");
            assert_eq!((body.to_page(), body.wait_ms), (Ok(page), Some(7)));
        }
        for wanted in [
            Wanted::Level(LogLevel::Error),
            Wanted::Pattern(Pattern::new("[^x]", Case::Sensitive)),
        ] {
            let search = SearchQuery {
                streams: Streams::Both,
                at,
                direction: Direction::Backward,
                wanted: wanted.clone(),
                filter: None,
            };
            assert_eq!(LogQuery::of_search(&search).to_search(), Ok(search));
            let count = CountQuery {
                streams: Streams::Stdout,
                at,
                wanted,
                filter: filter.clone(),
                mark: Some(cursor()),
            };
            assert_eq!(LogQuery::of_count(&count).to_count(), Ok(count));
        }
    }
}

#[test]
fn a_word_that_is_not_understood_is_named_with_what_is_allowed() {
    let rows: [(LogQuery, &str); 3] = [
        (
            LogQuery {
                stream: Some("stdin".to_owned()),
                ..LogQuery::default()
            },
            "stream=\"stdin\" is not one of both, stdout, stderr",
        ),
        (
            LogQuery {
                at: Some("yesterday".to_owned()),
                ..LogQuery::default()
            },
            "\"yesterday\" is no place in a log; pass on what an earlier answer gave, or name start or end",
        ),
        (
            LogQuery {
                pattern: Some("x".to_owned()),
                level: Some("error".to_owned()),
                ..LogQuery::default()
            },
            "pattern and level exclude each other",
        ),
    ];
    for (query, message) in rows {
        let error = query.to_search().expect_err("it is wrong");
        assert_eq!(error.message, message);
    }
}

#[test]
fn answers_are_read_back_as_they_were_given() {
    let line = |bytes: &[u8], ending| LogLine {
        stream: Stream::Stderr,
        place: place(),
        at: Some(99),
        length: 1000,
        bytes: bytes.to_vec(),
        ending,
    };
    let page = Page {
        start: Cursor::default(),
        end: cursor(),
        lines: vec![
            line(b"0.00.000.001 E text", Ending::Whole),
            line(b"no text \xff", Ending::Unfinished),
        ],
        at_start: true,
        at_end: false,
        lost: true,
    };
    let text = serde_json::to_string(&LogPageBody::from(&page)).expect("JSON");
    let body: LogPageBody = serde_json::from_str(&text).expect("JSON");
    assert_eq!(body.into_page(), Some(page));
    for search in [
        Search::NotFound,
        Search::Unfinished { cursor: cursor() },
        Search::Found {
            cursor: cursor(),
            line: place(),
        },
    ] {
        assert_eq!(LogSearchBody::from(search).to_search(), Some(search));
    }
}
