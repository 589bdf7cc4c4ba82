//! The fleet in numbers.

use std::collections::BTreeMap;

use super::http::Place;
use crate::support::{TestHome, kill_hard, wait_until};

/// The numbers of an answer, by name and labels; fails where the text is not as it must be.
pub(super) fn numbers(text: &str) -> BTreeMap<String, f64> {
    let mut numbers = BTreeMap::new();
    let (mut helped, mut family, mut kind) = (String::new(), String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help");
            assert!(
                name.starts_with("llama_orch_") && help.ends_with('.'),
                "{line}"
            );
            helped = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, word) = rest.split_once(' ').expect("a type");
            assert_eq!(name, helped, "help comes first");
            assert_eq!(word == "counter", name.ends_with("_total"), "{line}");
            (family, kind) = (name.to_owned(), word.to_owned());
        } else {
            let (key, value) = line.rsplit_once(' ').expect("a number");
            let name = key.split('{').next().unwrap();
            let suffix = name.strip_prefix(&family).expect("it is of the family");
            let allowed: &[&str] = match kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(allowed.contains(&suffix), "{line}");
            let value: f64 = value.parse().expect("a number");
            assert!(value.is_finite() && value >= 0.0, "{line}");
            assert_eq!(
                numbers.insert(key.to_owned(), value),
                None,
                "{line} comes twice"
            );
        }
    }
    numbers
}

#[test]
fn every_number_has_a_family_and_counters_count_what_happened() {
    let home = TestHome::new();
    home.simulated(
        "a",
        &[],
        "restart_policy.initial_delay = 0\nhealthcheck.interval = 1",
    );
    home.simulated("b", &[], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let place = Place::socket(&home);
    let look = || {
        let told = place.get("/metrics").send();
        assert_eq!(
            told.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        numbers(&told.text())
    };
    let before = look();
    let of =
        |numbers: &BTreeMap<String, f64>, key: &str| numbers.get(key).copied().unwrap_or(f64::NAN);
    assert_eq!(
        of(&before, "llama_orch_instance_starts_total{instance=\"a\"}"),
        1.0
    );
    assert_eq!(
        of(
            &before,
            "llama_orch_instance_status{instance=\"a\",status=\"running\"}"
        ),
        1.0
    );
    assert_eq!(
        of(
            &before,
            "llama_orch_instance_status{instance=\"a\",status=\"stopped\"}"
        ),
        0.0
    );
    assert_eq!(
        of(
            &before,
            "llama_orch_instance_health{instance=\"a\",health=\"healthy\"}"
        ),
        1.0
    );
    assert_eq!(of(&before, "llama_orch_instance_ok{instance=\"b\"}"), 1.0);
    assert!(of(&before, "llama_orch_owner_cpu_seconds_total") >= 0.0);
    assert!(
        of(
            &before,
            "llama_orch_instance_log_size_bytes{instance=\"a\",stream=\"stderr\"}"
        ) > 0.0
    );
    let ready = "llama_orch_work_units{status=\"READY\"}";
    let failed = "llama_orch_work_unit_ends_total{end=\"failed\"}";
    assert_eq!((of(&before, ready), of(&before, failed)), (0.0, 0.0));
    home.ok(&["work-unit", "create", "waits"]);
    assert_eq!(of(&look(), ready), 1.0);
    let port = home.row("a")["port"].to_string();
    let server = Place::Tcp(format!("127.0.0.1:{port}").parse().unwrap());
    let question = serde_json::json!({"prompt": "x", "n_predict": 5});
    assert_eq!(
        server.post("/completion").json(&question).send().status,
        200
    );
    let tokens = "llama_orch_instance_generated_tokens_total{instance=\"a\"}";
    let probes = "llama_orch_instance_probe_duration_seconds_count{instance=\"a\"}";
    wait_until("tokens and probes are counted", || {
        let now = look();
        of(&now, tokens) > of(&before, tokens) && of(&now, probes) > of(&before, probes)
    });
    let pid = home.pid("a");
    kill_hard(pid);
    home.wait_for("a", "ready again", |row| {
        row["state"] == "ready" && row["pid"] != pid
    });
    let after = look();
    assert_eq!(
        of(&after, "llama_orch_instance_starts_total{instance=\"a\"}"),
        2.0
    );
    assert_eq!(
        of(&after, "llama_orch_instance_restarts_total{instance=\"a\"}"),
        1.0
    );
    let exits = after
        .iter()
        .filter(|(key, _)| key.starts_with("llama_orch_instance_exits_total"));
    assert_eq!(exits.map(|(_, value)| *value).sum::<f64>(), 1.0);
    for (key, value) in before.iter().filter(|(key, _)| key.contains("_total")) {
        assert!(of(&after, key) >= *value, "{key} fell");
    }
    let open = place
        .get("/metrics")
        .header("accept", "application/openmetrics-text;version=1.0.0");
    let open = open.send();
    assert!(
        open.header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(open.text().ends_with("# EOF\n"));
}
