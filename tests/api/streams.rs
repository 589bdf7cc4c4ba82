//! Events and logs as they happen.

use std::collections::BTreeMap;
use std::io::BufReader;

use serde_json::Value;

use super::http::{Ask, Line, Place, Told, read_chunk};
use crate::support::TestHome;

/// One message of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

/// An open stream of server-sent events.
pub(crate) struct Stream {
    line: BufReader<Box<dyn Line>>,
    text: String,
}

impl Stream {
    pub(crate) fn open(ask: &Ask) -> Self {
        let line = ask.clone().header("accept", "text/event-stream").open();
        let mut line = BufReader::new(line);
        let head = Told::read_head(&mut line).expect("an answer");
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        let text = String::new();
        Self { line, text }
    }

    /// The next message that carries something; `None` when the stream has ended.
    pub(crate) fn next(&mut self) -> Option<Message> {
        loop {
            let Some((message, rest)) = self.text.split_once("\n\n") else {
                self.text += &String::from_utf8_lossy(&read_chunk(&mut self.line)?);
                continue;
            };
            let mut found = Message::default();
            for line in message.lines() {
                match line.split_once(": ") {
                    Some(("event", kind)) => found.kind = kind.to_owned(),
                    Some(("id", id)) => found.id = id.to_owned(),
                    Some(("data", data)) => found.data += data,
                    _ => {}
                }
            }
            self.text = rest.to_owned();
            if !found.data.is_empty() {
                return Some(found);
            }
        }
    }
}

impl Message {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

fn kind_of(message: &Message) -> String {
    message.json()["event_type"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn events_are_heard_as_they_happen_and_again_after_an_interruption() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.simulated("b", &[], "");
    home.ok(&["daemon", "start"]);
    let place = Place::socket(&home);
    let mut all = Stream::open(&place.get("/events"));
    let mut of_b = Stream::open(&place.get("/instances/b/events?type=started"));
    home.ok(&["up", "a"]);
    home.ok(&["up", "b"]);
    let mut seen = BTreeMap::new();
    while !seen.values().any(|kind| kind == "started b") {
        let message = all.next().expect("more");
        let body = message.json();
        assert_eq!(message.id, body["id"].to_string());
        let instance = body["instance"].as_str().unwrap_or("-").to_owned();
        seen.insert(
            body["id"].as_i64().unwrap(),
            format!("{} {instance}", kind_of(&message)),
        );
    }
    let started_b = of_b.next().expect("a message");
    assert_eq!(started_b.json()["instance"], "b");
    let first = *seen.keys().next().unwrap();
    drop(all);
    home.ok(&["down", "a"]);
    // From the first on, nothing is missing and nothing comes twice.
    let again = place
        .get("/events")
        .header("last-event-id", &first.to_string());
    let mut all = Stream::open(&again);
    let mut last = first;
    loop {
        let message = all.next().expect("more");
        let id: i64 = message.id.parse().unwrap();
        assert_eq!(id, last + 1);
        last = id;
        if kind_of(&message) == "stopped" {
            break;
        }
    }
    let mut newest = Stream::open(&place.get("/events?limit=2"));
    let two = [newest.next().unwrap(), newest.next().unwrap()];
    assert_eq!(
        two[1].id.parse::<i64>().unwrap(),
        two[0].id.parse::<i64>().unwrap() + 1
    );
    assert_eq!(two[1].id.parse::<i64>().unwrap(), last);
    let mut future = Stream::open(&place.get("/events?after=99999999"));
    assert_eq!(future.next().unwrap().kind, "reset");
    let wrong = place.get("/events").header("accept", "text/event-stream");
    assert_eq!(wrong.header("last-event-id", "x").send().code(), "invalid");
    // The end of the owner ends the stream, and says how to go on.
    home.ok(&["daemon", "stop", "--instances"]);
    let mut end = Message::default();
    while let Some(message) = all.next() {
        last = if message.kind.is_empty() {
            message.id.parse().unwrap()
        } else {
            last
        };
        end = message;
    }
    assert_eq!(end.kind, "end");
    let hint = end.json()["hint"].as_str().unwrap().to_owned();
    assert_eq!(hint, format!("ask again with Last-Event-ID: {last}"));
}

#[test]
fn a_log_is_heard_as_it_is_written_and_again_after_an_interruption() {
    let home = TestHome::new();
    home.simulated("a", &["--sim-flood", "200"], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let place = Place::socket(&home);
    let ask = place.get("/instances/a/logs?at=start");
    let mut stream = Stream::open(&ask);
    let lines = |message: &Message| -> Vec<String> {
        let body = message.json();
        let lines = body["lines"].as_array().unwrap().iter();
        lines
            .map(|line| line["place"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut heard = Vec::new();
    let mut last = String::new();
    while heard.len() < 300 {
        let message = stream.next().expect("more");
        heard.extend(lines(&message));
        last = message.id;
    }
    drop(stream);
    let again = place
        .get("/instances/a/logs")
        .header("last-event-id", &last);
    let mut stream = Stream::open(&again);
    while heard.len() < 600 {
        heard.extend(lines(&stream.next().expect("more")));
    }
    home.ok(&["down", "a"]);
    // Places name lines for ever: the file has the same ones, in the same order.
    let page = place.get(&format!("/instances/a/logs?at=start&lines={}", heard.len()));
    let page = page.send().json();
    let kept = page["lines"].as_array().unwrap().iter();
    let kept: Vec<String> = kept
        .map(|line| line["place"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(heard, kept);
    let newest = place.get("/instances/a/logs?lines=3");
    assert_eq!(lines(&Stream::open(&newest).next().unwrap()).len(), 3);
}
