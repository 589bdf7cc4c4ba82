//! What clients see, over sockets on the loopback.

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::flags::settings;
use crate::sim::faults::Hang;
use crate::sim::logfmt::{Form, Log};
use crate::sim::server;
use crate::sim::state::Shared;

/// Longer than any answer takes, even on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// An answer that has not come by then does not come.
const SILENCE: Duration = Duration::from_millis(300);

/// A server in this process, on ports the kernel chose.
struct Simulation {
    shared: Arc<Shared>,
    addresses: Vec<String>,
}

impl Simulation {
    fn loading(arguments: &str) -> Self {
        let arguments = format!("--port 0 {arguments} --sim-tokens-per-second 0");
        let log = Log::new(Instant::now(), 0, Form::Silent);
        let shared = Shared::new(settings(&arguments, &[]), log);
        let listeners = server::bind_all(&shared).expect("the kernel has a free port");
        let addresses = listeners.iter().map(|at| at.address.clone()).collect();
        for listener in listeners {
            server::accept(listener, Arc::clone(&shared));
        }
        Self { shared, addresses }
    }

    fn ready(arguments: &str) -> Self {
        let simulation = Self::loading(arguments);
        simulation.shared.set_ready();
        simulation
    }

    async fn connect(&self) -> TcpStream {
        let address = self.addresses.first().expect("there is an address");
        let address = address.trim_start_matches("http://");
        TcpStream::connect(address)
            .await
            .expect("the server accepts")
    }

    async fn ask(&self, method: Method, path: &str, key: &str, body: &str) -> (u16, String) {
        let stream = self.connect().await;
        let answer = within(exchange(stream, method, path, key, body)).await;
        let status = answer.status().as_u16();
        let body = within(answer.into_body().collect()).await;
        let body = body.expect("the body arrives").to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(Method::GET, path, "", "").await
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, text) = self.ask(Method::POST, path, "", &body.to_string()).await;
        (status, json_of(&text))
    }

    /// Returns whether a path does not answer.
    async fn is_silent(&self, method: Method, path: &str) -> bool {
        let stream = self.connect().await;
        let body = r#"{"prompt": "hi", "messages": []}"#;
        timeout(SILENCE, exchange(stream, method, path, "", body))
            .await
            .is_err()
    }
}

async fn within<Answer>(future: impl Future<Output = Answer>) -> Answer {
    timeout(DEADLINE, future)
        .await
        .expect("the answer comes in time")
}

async fn exchange<Stream>(
    stream: Stream,
    method: Method,
    path: &str,
    key: &str,
    body: &str,
) -> Response<hyper::body::Incoming>
where
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .expect("the connection speaks HTTP");
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {key}"))
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .expect("the request is well formed");
    sender
        .send_request(request)
        .await
        .expect("there is an answer")
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("the answer is JSON")
}

fn error(status: u16, kind: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "code": status}})
}

#[tokio::test]
async fn every_path_says_503_while_loading_and_health_says_ok_when_ready() {
    let simulation = Simulation::loading("--api-key k");
    for path in [
        "/health",
        "/v1/health",
        "/v1/models",
        "/metrics",
        "/slots",
        "/nothing",
    ] {
        let (status, body) = simulation.get(path).await;
        let loading = error(503, "unavailable_error", "Loading model");
        assert_eq!((status, json_of(&body)), (503, loading), "{path}");
    }
    simulation.shared.set_ready();
    for path in ["/health", "/v1/health"] {
        let (status, body) = simulation.get(path).await;
        assert_eq!((status, body.as_str()), (200, r#"{"status":"ok"}"#));
    }
}

#[tokio::test]
async fn a_key_opens_what_is_not_public() {
    let simulation = Simulation::ready("--api-key first,second --metrics");
    for (path, key, expected) in [
        ("/health", "", 200),
        ("/v1/models", "", 401),
        ("/v1/models", "wrong", 401),
        ("/v1/models", "second", 200),
        ("/metrics", "", 401),
        ("/metrics", "first", 200),
        ("/nothing", "", 401),
        ("/nothing", "first", 404),
    ] {
        let (status, _) = simulation.ask(Method::GET, path, key, "").await;
        assert_eq!(status, expected, "{path} with {key:?}");
    }
}

#[tokio::test]
async fn endpoints_that_are_off_say_how_to_switch_them_on() {
    let simulation = Simulation::ready("--no-slots");
    for (path, name) in [("/metrics", "metrics"), ("/slots", "slots")] {
        let (status, body) = simulation.get(path).await;
        let text =
            format!("This server does not support {name} endpoint. Start it with `--{name}`");
        let off = error(501, "not_supported_error", &text);
        assert_eq!((status, json_of(&body)), (501, off));
    }
}

#[tokio::test]
async fn models_props_and_slots_show_the_settings() {
    let simulation = Simulation::ready("-m m.gguf -a one,two -np 2 -c 1000 --metrics");
    let models = json_of(&simulation.get("/v1/models").await.1);
    assert_eq!(models["data"][0]["id"], "one");
    assert_eq!(models["data"][0]["aliases"], json!(["one", "two"]));
    let props = json_of(&simulation.get("/props").await.1);
    assert_eq!(props["total_slots"], 2);
    assert_eq!(props["model_path"], "m.gguf");
    let slots = json_of(&simulation.get("/slots").await.1);
    assert_eq!(slots.as_array().map(Vec::len), Some(2));
    assert_eq!(slots[1]["n_ctx"], 500);
    assert_eq!(slots[1]["is_processing"], false);
}

#[tokio::test]
async fn completions_are_marked_as_simulated_and_counted() {
    let simulation = Simulation::ready("--metrics");
    let messages = json!([{"role": "user", "content": "how are you"}]);
    let (status, chat) = simulation
        .post(
            "/v1/chat/completions",
            &json!({"messages": messages, "max_tokens": 6}),
        )
        .await;
    assert_eq!(status, 200);
    let content = chat["choices"][0]["message"]["content"].as_str();
    assert_eq!(content, Some("This answer is simulated: no model"));
    assert_eq!(chat["usage"]["total_tokens"], 9);
    let (_, native) = simulation
        .post("/completion", &json!({"prompt": "hi", "n_predict": 4}))
        .await;
    assert_eq!(native["content"], "This answer is simulated:");
    assert_eq!(native["stop"], true);
    let metrics = simulation.get("/metrics").await.1;
    for line in [
        "llamacpp:prompt_tokens_total 4",
        "llamacpp:tokens_predicted_total 10",
        "llamacpp:n_decode_total 10",
        "llamacpp:requests_processing 0",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} in {metrics}"
        );
    }
    let (status, refused) = simulation.post("/v1/chat/completions", &json!({})).await;
    assert_eq!(status, 400);
    assert_eq!(refused["error"]["message"], "'messages' is required");
}

#[tokio::test]
async fn a_stream_has_one_event_for_each_token_and_an_end() {
    let simulation = Simulation::ready("");
    let chat = json!({"messages": [], "max_tokens": 3, "stream": true}).to_string();
    let native = json!({"prompt": "hi", "n_predict": 3, "stream": true}).to_string();
    for (path, body, field, events) in [
        ("/v1/chat/completions", chat, "/choices/0/delta/content", 5),
        ("/completion", native, "/content", 4),
    ] {
        let (status, text) = simulation.ask(Method::POST, path, "", &body).await;
        assert_eq!(status, 200);
        let found: Vec<&str> = text
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "))
            .collect();
        assert_eq!(found.len(), events, "{text}");
        let first = json_of(found.first().expect("there is an event"));
        assert_eq!(first.pointer(field), Some(&json!("This ")));
    }
}

#[tokio::test]
async fn a_hang_of_inference_leaves_health_alone_and_a_full_hang_does_not() {
    let simulation = Simulation::ready("--metrics");
    simulation.shared.set_hung(Hang::Inference);
    assert_eq!(simulation.get("/health").await.0, 200);
    assert_eq!(simulation.get("/v1/models").await.0, 200);
    for (method, path) in [
        (Method::GET, "/metrics"),
        (Method::GET, "/slots"),
        (Method::POST, "/completion"),
        (Method::POST, "/v1/chat/completions"),
    ] {
        assert!(simulation.is_silent(method, path).await, "{path}");
    }
    simulation.shared.set_hung(Hang::All);
    assert!(simulation.is_silent(Method::GET, "/health").await);
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_slot() {
    let simulation = Simulation::ready("-np 1");
    let endless = json!({"prompt": "hi", "n_predict": 1_000_000, "stream": true}).to_string();
    let stream = simulation.connect().await;
    let answer = within(exchange(stream, Method::POST, "/completion", "", &endless)).await;
    assert!(simulation.shared.is_busy());
    drop(answer);
    // With a single slot this waits until the endless completion has given it back.
    let (status, _) = simulation
        .post("/completion", &json!({"prompt": "hi", "n_predict": 1}))
        .await;
    assert_eq!(status, 200);
    assert!(!simulation.shared.is_busy());
}

#[tokio::test]
async fn several_addresses_are_served_and_shown_in_the_form_of_llama_server() {
    let folder = tempfile::tempdir().expect("there is a temporary directory");
    let path = folder.path().join("a.sock");
    let path = path.to_str().expect("the path is text");
    let simulation = Simulation::ready(&format!("--host 127.0.0.1,{path}"));
    let [tcp, unix] = simulation.addresses.as_slice() else {
        unreachable!("there are two addresses");
    };
    assert!(tcp.starts_with("http://127.0.0.1:"));
    assert_eq!(*unix, format!("unix://{path}"));
    let stream = UnixStream::connect(path).await.expect("the socket accepts");
    let answer = within(exchange(stream, Method::GET, "/health", "", "")).await;
    assert_eq!(answer.status(), 200);
    if TcpListener::bind(("::1", 0)).is_err() {
        writeln!(io::stderr(), "skipped: this machine has no IPv6 loopback").ok();
        return;
    }
    let ipv6 = Simulation::ready("--host ::1");
    assert!(
        ipv6.addresses
            .iter()
            .all(|at| at.starts_with("http://[::1]:"))
    );
    assert_eq!(ipv6.get("/health").await.0, 200);
}

#[tokio::test]
async fn a_port_or_socket_in_use_is_refused() {
    let simulation = Simulation::ready("");
    let taken = simulation
        .connect()
        .await
        .peer_addr()
        .expect("it is connected");
    let log = Log::new(Instant::now(), 0, Form::Silent);
    let port = format!("--port {}", taken.port());
    let second = Shared::new(settings(&port, &[]), log);
    assert!(server::bind_all(&second).is_none());
}
