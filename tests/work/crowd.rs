//! Many clients at once: nothing is created, taken or freed twice, and nothing is lost.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use llama_orch::domain::work::{Chunk, WorkSet, WorkStatus};
use llama_orch::store::Reader;
use serde_json::{Value, json};

use crate::api::http::{Place, Told};
use crate::support::TestHome;

/// Enough that the owner has several requests before it in one turn.
const CLIENTS: usize = 24;

/// Has every client do the same at the same moment; returns how many answers had each status.
fn all_at_once(ask: impl Fn(usize) -> Told + Sync) -> BTreeMap<u16, usize> {
    let ready = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (ready, ask) = (&ready, &ask);
                scope.spawn(move || {
                    ready.wait();
                    ask(number).status
                })
            })
            .collect();
        let mut answers = BTreeMap::new();
        for client in clients {
            *answers.entry(client.join().unwrap()).or_default() += 1;
        }
        answers
    })
}

#[test]
fn of_many_clients_one_creates_a_unit_and_one_takes_it() {
    let home = TestHome::new();
    home.ok(&["daemon", "start"]);
    let place = Place::socket(&home);
    let one_of_all = BTreeMap::from([(201, 1), (409, CLIENTS - 1)]);
    let created = all_at_once(|_| {
        place
            .post("/work-units")
            .json(&json!({"chunk": "a"}))
            .send()
    });
    assert_eq!(created, one_of_all);
    let claim = json!({"status": "RUNNING"});
    let claimed = all_at_once(|_| place.ask("PATCH", "/work-units/a").json(&claim).send());
    assert_eq!(claimed, BTreeMap::from([(200, 1), (409, CLIENTS - 1)]));
    let gone = all_at_once(|_| place.ask("DELETE", "/work-units/a").send());
    assert_eq!(gone, BTreeMap::from([(200, 1), (404, CLIENTS - 1)]));
    home.ok(&["daemon", "stop"]);
}

/// Each client works through its own requests on units that all of them share.
fn worked(place: &Place, number: usize) -> Told {
    let name = |offset: usize| format!("u{}", (number + offset) % 6);
    let path = format!("/work-units/{}", name(0));
    for round in 0..6 {
        let other = name(1 + round);
        let bodies: [Value; 4] = [
            json!({"blocked_by": [other]}),
            json!({"status": "RUNNING"}),
            json!({"status": "DONE"}),
            json!({"status": "READY", "blocked_by": []}),
        ];
        let draft = json!({"chunk": name(0), "blocked_by": []});
        let made = place.post("/work-units").json(&draft).send();
        assert!([201, 409].contains(&made.status), "{}", made.text());
        for body in &bodies {
            let told = place.ask("PATCH", &path).json(body).send();
            let expected = [200, 404, 409, 422];
            assert!(expected.contains(&told.status), "{body}: {}", told.text());
        }
        if (number + round).is_multiple_of(5) {
            let told = place.ask("DELETE", &path).send();
            assert!([200, 404, 409].contains(&told.status), "{}", told.text());
        }
    }
    place.get("/work-units").send()
}

#[test]
fn a_crowd_leaves_sound_units_the_same_in_memory_and_on_disk() {
    let home = TestHome::new();
    home.ok(&["daemon", "start"]);
    let place = Place::socket(&home);
    let answers = all_at_once(|number| worked(&place, number));
    assert_eq!(answers, BTreeMap::from([(200, CLIENTS)]));
    let shown = place.get("/work-units").send().json();
    let reader = Reader::open(&home.path().join("state/state.sqlite"))
        .unwrap()
        .unwrap();
    let stored = reader.work_units().unwrap();
    let loaded = WorkSet::load(stored.clone(), 0.0);
    assert_eq!(loaded.repairs, [], "what is stored needs no repair");
    let in_memory: BTreeMap<String, String> = shown["units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| {
            let word = |key: &str| unit[key].as_str().unwrap().to_owned();
            (
                word("chunk"),
                format!("{} {}", word("status"), word("phase")),
            )
        })
        .collect();
    let on_disk: BTreeMap<String, String> = stored
        .iter()
        .map(|unit| {
            (
                unit.chunk.to_string(),
                format!("{} {}", unit.status(), unit.phase),
            )
        })
        .collect();
    assert_eq!(in_memory, on_disk);
    // Each line of a log begins where the one before it ended, and the last is the present.
    for name in 0..6 {
        let chunk = Chunk::parse(&format!("u{name}")).unwrap();
        let log = reader.status_log(&chunk, 10_000).unwrap();
        for pair in log.windows(2) {
            assert_eq!(pair[0].to, pair[1].from, "{chunk}");
        }
        let last: Option<WorkStatus> = log
            .last()
            .and_then(|line| line.to)
            .map(|(status, _)| status);
        let unit = stored.iter().find(|unit| unit.chunk == chunk);
        assert_eq!(last, unit.map(|unit| unit.status()), "{chunk}");
    }
    home.ok(&["daemon", "stop"]);
}
