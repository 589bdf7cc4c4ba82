//! Who is let in, and what a request may cost.

use std::fs;
use std::io::{BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use serde_json::json;

use super::http::{Place, Told};
use crate::support::{TestHome, skipped};

/// Nobody, on every Linux.
const NOBODY: u32 = 65_534;

fn home_with(settings: &str) -> TestHome {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    fs::write(home.path().join("orchestrator.toml"), settings).unwrap();
    home.ok(&["daemon", "start"]);
    home
}

fn token(home: &TestHome) -> String {
    let text = fs::read_to_string(home.path().join("state/api-token")).unwrap();
    text.trim().to_owned()
}

#[test]
fn over_tcp_only_the_token_opens_and_it_is_made_once() {
    let home = home_with("[api]\nlisten = \"127.0.0.1:0\"\n");
    let file = home.path().join("state/api-token");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let told = home.ok(&["daemon", "status"]).stdout;
    assert!(told.contains("API at http://127.0.0.1:"), "{told}");
    assert!(
        told.contains(&format!("the token in {}", file.display())),
        "{told}"
    );
    let (place, token) = (Place::tcp(&home), token(&home));
    assert!(!told.contains(&token), "the token itself is never printed");
    for path in ["/status", "/instances", "/events", "/nowhere"] {
        let told = place.get(path).send();
        assert_eq!((told.status, told.code().as_str()), (401, "unauthorized"));
        assert_eq!(told.header("www-authenticate"), Some("Bearer"));
    }
    let mut wrong = token.clone();
    wrong.replace_range(0..1, if token.starts_with('0') { "1" } else { "0" });
    for shown in [&wrong, "", &token[1..]] {
        assert_eq!(
            place.post("/instances/a/start").token(shown).send().status,
            401
        );
    }
    let basic = place
        .get("/status")
        .header("authorization", &format!("Basic {token}"));
    assert_eq!(basic.send().status, 401);
    assert_eq!(home.row("a")["state"], "stopped", "nothing was started");
    assert_eq!(
        place.get("/status").token(&token).send().json()["role"],
        "daemon"
    );
    let started = place.post("/instances/a/start").token(&token).send();
    assert_eq!(started.status, 202, "{}", started.text());
    home.wait_state("a", "ready");
    home.ok(&["daemon", "restart"]);
    let again = Place::tcp(&home).get("/status").token(&token).send();
    assert_eq!(again.status, 200, "the token is still the same");
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn without_a_token_only_this_machine_by_its_own_name_is_heard() {
    let home = home_with("[api]\nlisten = \"127.0.0.1:0\"\nrequire_token = false\n");
    assert!(!home.path().join("state/api-token").exists());
    let place = Place::tcp(&home);
    assert_eq!(place.get("/status").send().status, 200);
    let rebound = place
        .get("/status")
        .header("host", "evil.example:80")
        .send();
    assert_eq!(
        (rebound.status, rebound.code().as_str()),
        (403, "forbidden")
    );
    let page = place
        .post("/instances/a/start")
        .header("origin", "https://evil.example");
    assert_eq!(page.send().status, 403);
    assert_eq!(home.row("a")["state"], "stopped");
}

#[test]
fn a_wrong_address_or_token_file_is_told_and_the_socket_answers_all_the_same() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("listen = {:?}", taken.local_addr().unwrap().to_string());
    let loose = "listen = \"127.0.0.1:0\"\ntoken_file = \"loose\"";
    let open = "listen = \"0.0.0.0:0\"\nrequire_token = false";
    for (settings, told) in [
        (taken.as_str(), "listen on"),
        (loose, "chmod 600"),
        (open, ""),
    ] {
        let home = TestHome::new();
        fs::write(home.path().join("loose"), "0123456789abcdef\n").unwrap();
        let text = format!("[api]\n{settings}\n");
        fs::write(home.path().join("orchestrator.toml"), text).unwrap();
        home.ok(&["daemon", "start"]);
        let ran = home.ok(&["daemon", "status"]);
        assert!(!ran.stdout.contains("API at"), "{}", ran.stdout);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        let checked = home.run(&["config", "validate"]);
        assert_eq!(checked.code == 0, !told.is_empty(), "{}", checked.stderr);
    }
}

#[test]
fn another_user_gets_nowhere_even_when_the_socket_is_open_to_all() {
    if !rustix::process::geteuid().is_root() {
        let why = "only root can become somebody else";
        skipped(
            "another_user_gets_nowhere_even_when_the_socket_is_open_to_all",
            why,
        );
        return;
    }
    let home = home_with("");
    let socket = home.path().join("state/llama-orch.sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (path, mode) in [
        (home.path(), 0o755),
        (&home.path().join("state"), 0o755),
        (&socket, 0o666),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    // Python, because the program under test may stand where nobody else can read.
    let script = "import socket, sys\n\
        s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
        question = b'GET /status HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n'\n\
        try:\n    s.sendall(question); print(len(s.recv(100)))\n\
        except ConnectionError:\n    print(0)\n";
    let ask = |user: Option<u32>| {
        let mut command = std::process::Command::new("python3");
        command
            .args(["-c", script])
            .arg(&socket)
            .stdin(Stdio::null());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let output = command.output().expect("python3");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            errors,
        )
    };
    assert_eq!(ask(None).0, "100");
    assert_eq!(ask(Some(NOBODY)), ("0".to_owned(), String::new()));
    assert_eq!(Place::socket(&home).get("/status").send().status, 200);
}

#[test]
fn what_is_too_much_or_nonsense_is_refused_in_one_shape() {
    let home = home_with("");
    let place = Place::socket(&home);
    let large = vec![b' '; 300 << 10];
    let rows = [
        (place.get("/nowhere"), 404, "not_found"),
        (place.get("/instances/zz"), 404, "not_found"),
        (place.get("/instances/Not%20a%20name"), 404, "not_found"),
        (place.get("/instances/%ff"), 400, "invalid"),
        (place.ask("DELETE", "/instances"), 405, "method_not_allowed"),
        (place.get("/instances/a/start"), 405, "method_not_allowed"),
        (
            place
                .post("/instances/a/stop")
                .body("application/json", &large),
            413,
            "too_large",
        ),
        (
            place.post("/instances/a/stop").body("text/plain", b"{}"),
            415,
            "unsupported_media_type",
        ),
        (
            place
                .post("/instances/a/stop")
                .body("application/json", b"{"),
            400,
            "invalid",
        ),
        (
            place
                .post("/instances/a/stop")
                .json(&json!({"mode": "soon"})),
            400,
            "invalid",
        ),
        (place.get("/events?limit=many"), 400, "invalid"),
        (place.get("/events?level=loud"), 400, "invalid"),
        (place.post("/instances/a/stop"), 409, "not_running"),
        (
            place.get("/status").header("llama-orch-api", "0"),
            400,
            "invalid",
        ),
    ];
    for (ask, status, code) in rows {
        let told = ask.clone().send();
        assert_eq!(
            (told.status, told.code().as_str()),
            (status, code),
            "{ask:?}"
        );
        assert_eq!(told.header("llama-orch-api"), Some("1"));
        if status == 405 {
            assert!(told.header("allow").is_some(), "{ask:?}");
        }
    }
    let list = place.post("/instances/a/stop").json(&json!([]));
    assert_eq!(list.send().code(), "invalid");
    let far = place.get("/events?after=9223372036854775807").send();
    assert_eq!(far.json()["events"], json!([]));
    // A body whose length nobody announced.
    let mut line = place
        .post("/instances/a/stop")
        .header("content-type", "application/json")
        .header("transfer-encoding", "chunked")
        .open();
    let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, " ".repeat(64 << 10));
    for _ in 0..5 {
        line.write_all(chunk.as_bytes()).ok(); // it may have been refused by then
    }
    let told = Told::read(&mut BufReader::new(line)).expect("an answer");
    assert_eq!((told.status, told.code().as_str()), (413, "too_large"));
    let long = place
        .get("/status")
        .header("x", &"x".repeat(20 << 10))
        .send();
    assert_eq!(long.status, 431);
}
