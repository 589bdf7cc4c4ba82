//! Every route answers as the document says, and the document knows every route.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::http::{Place, Told};
use crate::support::TestHome;

/// Checks a value against a schema of the document, as far as its kinds of schema go; returns what
/// is wrong.
fn mismatch(all: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return mismatch(all, &all[name], value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices
            .iter()
            .filter(|one| mismatch(all, one, value, at).is_none());
        return (fits.count() != 1).then(|| format!("{at}: {value} is not one of the choices"));
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return parts.iter().find_map(|part| mismatch(all, part, value, at));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one],
        _ => Vec::new(),
    };
    let number = kind == "integer" && types.contains(&"number");
    if !types.is_empty() && !types.contains(&kind) && !number {
        return Some(format!("{at}: {value} is no {types:?}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Some(format!("{at}: {value} is none of {words:?}"));
    }
    if let Value::Array(items) = value {
        return items
            .iter()
            .find_map(|item| mismatch(all, &schema["items"], item, at));
    }
    let required = schema["required"].as_array().into_iter().flatten();
    let missing = required
        .filter_map(Value::as_str)
        .find(|key| value.get(key).is_none());
    if let Some(key) = missing.filter(|_| kind == "object") {
        return Some(format!("{at}: {key} is missing"));
    }
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields.into_iter().find_map(|(key, field)| {
        let inside = value.get(key)?;
        mismatch(all, field, inside, &format!("{at}.{key}"))
    })
}

fn check_answer(document: &Value, method: &str, route: &str, told: &Told) {
    let status = told.status.to_string();
    let answer = &document["paths"][route][method]["responses"][&status];
    assert!(
        answer.is_object(),
        "{method} {route}: {status} is not documented: {}",
        told.text()
    );
    let kind = told
        .header("content-type")
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap();
    let content = &answer["content"][kind];
    assert!(
        content.is_object(),
        "{method} {route}: {kind} is not documented"
    );
    if kind == "application/json" {
        let all = &document["components"]["schemas"];
        let wrong = mismatch(all, &content["schema"], &told.json(), route);
        assert_eq!(wrong, None, "{}", told.text());
    }
}

#[test]
fn every_documented_route_answers_as_documented() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.simulated("b", &[], "server.port = 1");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    home.run(&["up", "b"]);
    let place = Place::socket(&home);
    let document = place.get("/openapi.json").send();
    assert_eq!(document.header("content-type"), Some("application/json"));
    let document = document.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut asked = BTreeSet::new();
    for (route, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(
                operation["summary"].is_string(),
                "{method} {route} says what it does"
            );
            // Its turn comes at the end.
            if route.starts_with("/owner/") {
                continue;
            }
            let names: &[&str] = if route.contains("{name}") {
                &["a", "b", "zz"]
            } else {
                &[""]
            };
            for name in names {
                let mut path = route.replace("{name}", name);
                let wants = |key: &str| {
                    let known = operation["parameters"].as_array().into_iter().flatten();
                    known.into_iter().any(|one| one["name"] == key)
                };
                if wants("pattern") && !route.ends_with("/logs") && !route.ends_with("/size") {
                    path += "?pattern=a";
                }
                let told = place.ask(&method.to_uppercase(), &path).send();
                check_answer(&document, method, route, &told);
                if *name == "zz" {
                    assert_eq!((told.status, told.code().as_str()), (404, "not_found"));
                }
            }
            asked.insert(format!("{method} {route}"));
            // Whatever else is asked there, is answered in the same shape.
            let other = if method == "get" { "DELETE" } else { "GET" };
            if item.get(other.to_lowercase()).is_none() {
                let told = place.ask(other, &route.replace("{name}", "a")).send();
                assert_eq!(told.status, 405, "{other} {route}");
                assert_eq!(told.code(), "method_not_allowed");
                let allowed = told
                    .header("allow")
                    .expect("what is allowed")
                    .to_lowercase();
                assert!(allowed.contains(method), "{other} {route}: {allowed}");
            }
        }
    }
    for (route, status) in [
        ("/owner/yield", 409),
        ("/owner/autostart", 202),
        ("/owner/stop", 200),
    ] {
        let told = place.post(route).send();
        assert_eq!(told.status, status, "{route}: {}", told.text());
        check_answer(&document, "post", route, &told);
        asked.insert(format!("post {route}"));
    }
    // What is promised by name must be there under it.
    for route in [
        "get /status",
        "get /instances",
        "post /instances/{name}/start",
        "post /instances/{name}/apply",
        "get /instances/{name}/describe",
        "get /instances/{name}/crash",
        "get /instances/{name}/logs",
        "get /instances/{name}/events",
        "get /events",
        "get /health",
        "get /devices",
    ] {
        assert!(asked.contains(route), "{route} is not documented");
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_no_token() {
    let home = TestHome::new();
    let settings = home.path().join("orchestrator.toml");
    std::fs::write(settings, "[api]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    home.ok(&["daemon", "start"]);
    let place = Place::tcp(&home);
    let page = place.get("/").send();
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let text = page.text();
    let addresses = text
        .split('"')
        .filter(|word| word.starts_with("http") || word.starts_with("//"));
    assert_eq!(addresses.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(text.contains("fetch(\"/openapi.json\")"));
    let document = place.get("/openapi.json").send().json();
    let document_text = document.to_string();
    assert!(
        !document_text.contains(&home.path().display().to_string()),
        "it says nothing of the home"
    );
    assert_eq!(place.get("/status").send().status, 401);
}

#[test]
fn a_body_may_be_left_out_where_it_says_nothing() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.ok(&["daemon", "start"]);
    let place = Place::socket(&home);
    // Nobody promises that a list is read as the fields in their order.
    for (method, path) in [
        ("POST", "/work-units"),
        ("PATCH", "/work-units/a"),
        ("POST", "/instances/a/stop"),
    ] {
        let told = place.ask(method, path).json(&json!([null, null])).send();
        assert_eq!(
            (told.status, told.code().as_str()),
            (400, "invalid"),
            "{method} {path}"
        );
    }
    assert_eq!(place.post("/instances/a/start").send().status, 202);
    home.wait_state("a", "ready");
    let healthy = place.get("/health").send().json();
    assert_eq!(
        (&healthy["ok"], &healthy["instances"][0]["health"]),
        (&json!(true), &json!("healthy"))
    );
    assert_eq!(place.post("/instances/a/restart").send().status, 202);
    home.wait_state("a", "ready");
    let kill = json!({"mode": "kill", "a key of tomorrow": 1});
    assert_eq!(
        place.post("/instances/a/stop").json(&kill).send().status,
        202
    );
    home.wait_state("a", "stopped");
}
