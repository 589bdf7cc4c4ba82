//! `[api]` is followed while the owner runs: where it listens, and whom it lets in.

use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::http::{Line, Place, Told};
use crate::support::{TestHome, free_port, wait_until};

const ANY: &str = "listen = \"127.0.0.1:0\"";

fn started(api: &str) -> TestHome {
    let home = TestHome::new();
    set(&home, api);
    home.ok(&["daemon", "start"]);
    home
}

/// Replaces the settings as an editor does.
fn set(home: &TestHome, api: &str) {
    let new = home.path().join("new");
    fs::write(&new, format!("[api]\n{api}\n")).unwrap();
    fs::rename(new, home.path().join("orchestrator.toml")).unwrap();
}

fn listen(address: &SocketAddr) -> String {
    format!("listen = \"{address}\"")
}

fn free(ip: &str) -> SocketAddr {
    format!("{ip}:{}", free_port()).parse().unwrap()
}

/// What the owner says of it.
fn told(home: &TestHome) -> Value {
    Place::socket(home).get("/status").send().json()["tcp"].clone()
}

fn address(home: &TestHome) -> SocketAddr {
    let Place::Tcp(address) = Place::tcp(home) else {
        unreachable!("it is over TCP");
    };
    address
}

fn wait_at(home: &TestHome, address: SocketAddr) {
    let url = format!("http://{address}");
    wait_until("it listens there", || told(home)["url"] == *url);
}

fn wait_event(home: &TestHome, part: &str) -> String {
    let mut found = None;
    wait_until(part, || {
        found = home.events().into_iter().find(|event| event.contains(part));
        found.is_some()
    });
    found.unwrap()
}

fn token_of(file: &Path) -> String {
    fs::read_to_string(file).unwrap().trim().to_owned()
}

fn write_token(file: &Path, token: &str) {
    fs::write(file, token).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn status(address: SocketAddr, token: &str) -> u16 {
    Place::Tcp(address)
        .get("/status")
        .token(token)
        .send()
        .status
}

fn is_open(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

/// A stream of events over TCP, once its head has been read.
fn stream(address: SocketAddr, token: &str) -> BufReader<Box<dyn Line>> {
    let ask = Place::Tcp(address).get("/events").token(token);
    let line = ask.header("accept", "text/event-stream").open();
    let mut line = BufReader::new(line);
    assert_eq!(Told::read_head(&mut line).unwrap().status, 200);
    line
}

#[test]
fn another_address_is_listened_on_before_the_old_one_is_closed() {
    let home = started(ANY);
    let (first, second) = (address(&home), free("127.0.0.1"));
    let token = token_of(&home.path().join("state/api-token"));
    let mut listening = stream(first, &token);
    set(&home, &listen(&second));
    wait_at(&home, second);
    assert_eq!(status(second, &token), 200);
    wait_until("the old one is closed", || !is_open(first));
    // Who listened there is let go.
    let mut rest = Vec::new();
    listening.read_to_end(&mut rest).ok(); // an end is an end
    let event = wait_event(&home, "the API listens at");
    assert!(event.starts_with("config_changed - "), "{event}");
    assert!(event.contains(&format!("http://{second}")), "{event}");
    assert!(
        event.ends_with(&format!("no longer at http://{first}")),
        "{event}"
    );
    // The one it has already, with its port named, is the same.
    set(&home, ANY);
    wait_until("it moved", || {
        told(&home)["url"] != format!("http://{second}")
    });
    let third = address(&home);
    let line = TcpStream::connect(third).unwrap();
    set(&home, &format!("{}\nrequire_token = false", listen(&third)));
    wait_event(&home, "is now for everybody on this machine");
    assert_eq!(address(&home), third);
    drop(line);
    // Nothing is said, nothing listens.
    set(&home, "");
    wait_until("nothing listens", || told(&home).is_null());
    assert!(!is_open(third));
    wait_event(
        &home,
        &format!("the API no longer listens at http://{third}"),
    );
    set(&home, &listen(&second));
    wait_at(&home, second);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn an_address_that_cannot_be_had_keeps_the_old_one_until_it_can() {
    let home = started(ANY);
    let first = address(&home);
    let token = token_of(&home.path().join("state/api-token"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let second = taken.local_addr().unwrap();
    set(&home, &format!("# another place\n{}", listen(&second)));
    let event = wait_event(&home, "api.listen");
    assert!(event.starts_with("config_broken - "), "{event}");
    assert!(
        event.contains("orchestrator.toml:3:10: api.listen: listen on "),
        "{event}"
    );
    assert!(
        event.contains(&format!("goes on at http://{first}")),
        "{event}"
    );
    assert_eq!(status(first, &token), 200);
    let said = home.ok(&["daemon", "status"]);
    assert!(
        said.stdout.contains(&format!("API at http://{first}")),
        "{}",
        said.stdout
    );
    assert!(said.stderr.contains("not as [api] says"), "{}", said.stderr);
    let doctor = home.run(&["doctor"]);
    assert!(
        doctor.stdout.contains(&second.to_string()),
        "{}",
        doctor.stdout
    );
    // A file that cannot be used changes nothing either.
    fs::write(
        home.path().join("orchestrator.toml"),
        "[api]\nlisten = nowhere\n",
    )
    .unwrap();
    wait_event(&home, "orchestrator.toml:2:");
    assert_eq!(status(first, &token), 200);
    set(&home, &listen(&second));
    drop(taken);
    wait_at(&home, second);
    wait_until("the old one is closed", || !is_open(first));
    assert!(told(&home)["problem"].is_null());
    home.ok(&["daemon", "stop"]);
}

#[test]
fn an_address_in_use_at_the_start_is_told_and_taken_when_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap();
    let home = started(&listen(&place));
    let event = wait_event(&home, "api.listen");
    let found = format!("orchestrator.toml:2:10: api.listen: listen on {place}: ");
    assert!(event.contains(&found), "{event}");
    assert!(
        event.contains(&format!("by pid {} (", std::process::id())),
        "{event}"
    );
    assert!(
        event.ends_with("the API answers on the socket only"),
        "{event}"
    );
    drop(taken);
    wait_at(&home, place);
    wait_event(
        &home,
        &format!("the API listens at http://{place}, for the token in "),
    );
    home.ok(&["daemon", "stop"]);
}

#[test]
fn addresses_of_one_port_that_overlap_are_exchanged() {
    let port = free_port();
    let [narrow, wide] = ["127.0.0.1", "0.0.0.0"].map(|ip| format!("{ip}:{port}").parse().unwrap());
    let home = started(&listen(&narrow));
    let token = token_of(&home.path().join("state/api-token"));
    wait_at(&home, narrow);
    for place in [wide, narrow] {
        set(&home, &listen(&place));
        wait_at(&home, place);
        assert_eq!(status(narrow, &token), 200);
    }
    // Somebody else is in the way of the wider one: the narrow one is listened on again.
    let other = TcpListener::bind(format!("127.0.0.2:{port}")).unwrap();
    set(&home, &listen(&wide));
    let event = wait_event(&home, "goes on at");
    assert!(event.contains(&format!("listen on {wide}: ")), "{event}");
    assert_eq!(status(narrow, &token), 200);
    drop(other);
    set(&home, &listen(&narrow));
    wait_event(&home, "the API is as [api] says again");
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_replaced_token_opens_from_the_next_request_on_and_the_old_one_no_more() {
    let home = started(ANY);
    let place = address(&home);
    let file = home.path().join("state/api-token");
    let first = token_of(&file);
    assert_eq!(status(place, &first), 200);
    // Written over, at once; also on a connection that is open.
    let second = "0123456789abcdef0123456789abcdef";
    let mut kept = BufReader::new(Place::Tcp(place).get("/status").token(&first).open());
    assert_eq!(Told::read(&mut kept).unwrap().status, 200);
    write_token(&file, second);
    let again = format!("GET /status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {first}\r\n\r\n");
    kept.get_mut().write_all(again.as_bytes()).unwrap();
    assert_eq!(Told::read(&mut kept).unwrap().status, 401);
    assert_eq!((status(place, &first), status(place, second)), (401, 200));
    wait_event(&home, "the API's token was replaced");
    // Removed: another one is made.
    fs::remove_file(&file).unwrap();
    assert_eq!(status(place, second), 401);
    let third = token_of(&file);
    assert_eq!((third.len(), status(place, &third)), (64, 200));
    fs::remove_file(&file).unwrap();
    wait_until("it is made although nobody asks", || file.exists());
    // No secret any more: nobody is let in, and it is said why.
    let fourth = token_of(&file);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Place::Tcp(place).get("/status").token(&fourth).send();
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (401, "unauthorized")
    );
    assert!(
        refused.text().contains("cannot be used"),
        "{}",
        refused.text()
    );
    let event = wait_event(&home, "chmod 600");
    assert!(event.starts_with("config_broken - "), "{event}");
    assert!(event.contains("orchestrator.toml:1:"), "{event}");
    assert!(
        event.ends_with(&format!("nobody is let in at http://{place}")),
        "{event}"
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(status(place, &fourth), 200);
    wait_event(&home, "the API is as [api] says again");
    // Another file, and one that cannot be used.
    let other = home.path().join("other");
    write_token(&other, second);
    set(&home, &format!("{ANY}\ntoken_file = \"other\""));
    wait_event(
        &home,
        &format!("is now for the token in {}", other.display()),
    );
    assert_eq!((status(place, &fourth), status(place, second)), (401, 200));
    fs::write(home.path().join("loose"), second).unwrap();
    set(&home, &format!("{ANY}\ntoken_file = \"loose\""));
    let event = wait_event(&home, "loose");
    assert!(
        event.contains("orchestrator.toml:3:14: api.token_file: "),
        "{event}"
    );
    assert!(
        event.contains(&format!("goes on at http://{place}")),
        "{event}"
    );
    assert_eq!(status(place, second), 200);
    for event in home.events() {
        assert!(
            ![&first, second, &third, &fourth]
                .iter()
                .any(|token| event.contains(*token))
        );
    }
    home.ok(&["daemon", "stop"]);
}
