//! The routes of llama-server that a supervisor, or a person trying the demo, calls.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::{TcpListener, UnixListener};

use super::console::log;
use super::faults::Hang;
use super::flags::Options;
use super::state::{BusySlot, Shared};

/// The canned answer, a word per token.
const WORDS: &str = "This is a simulated answer: no model was loaded and nothing was computed.";

/// Either kind of socket.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Opens the socket, which llama-server does before it loads.
pub(super) async fn bind(options: &Options) -> io::Result<Listener> {
    let host = options.host.split(',').next().unwrap_or_default().trim();
    if host.ends_with(".sock") {
        if std::os::unix::net::UnixStream::connect(host).is_err() {
            std::fs::remove_file(host).ok(); // left by a server that is gone, or never there
        }
        return UnixListener::bind(host).map(Listener::Unix);
    }
    TcpListener::bind((host, options.port))
        .await
        .map(Listener::Tcp)
}

/// Serves for ever.
pub(super) async fn serve(listener: Listener, shared: Shared) {
    let router = Router::new()
        .route("/health", get(health))
        .route("/v1/health", get(health))
        .route("/v1/models", get(models))
        .route("/props", get(props))
        .route("/slots", get(slots))
        .route("/metrics", get(metrics))
        .route("/completion", post(completion))
        .route("/v1/chat/completions", post(chat))
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(shared.clone(), gate))
        .with_state(shared);
    let ended = match listener {
        Listener::Tcp(listener) => axum::serve(listener, router).await,
        Listener::Unix(listener) => axum::serve(listener, router).await,
    };
    if let Err(error) = ended {
        log(&format!("E srv         serve: {error}"));
    }
}

/// Hangs, says that it loads, or asks for the key, in llama-server's order.
async fn gate(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let is_health = matches!(path.as_str(), "/health" | "/v1/health");
    match shared.hang() {
        Hang::Everything => std::future::pending().await,
        Hang::Inference if !is_health => std::future::pending().await,
        Hang::Inference | Hang::Nothing => {}
    }
    if !shared.is_loaded() {
        return failure(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable_error",
            "Loading model",
        );
    }
    let public = is_health || path == "/v1/models";
    if let (Some(key), false) = (&shared.options().api_key, public) {
        let sent = request.headers().get(header::AUTHORIZATION);
        let expected = format!("Bearer {key}");
        if sent.is_none_or(|sent| sent.as_bytes() != expected.as_bytes()) {
            return failure(
                StatusCode::UNAUTHORIZED,
                "authentication_error",
                "Invalid API Key",
            );
        }
    }
    let method = request.method().clone();
    let answer = next.run(request).await;
    if !is_health && path != "/metrics" {
        let status = answer.status().as_u16();
        log(&format!(
            "I srv  log_server_r: done request: {method} {path} 127.0.0.1 {status}"
        ));
    }
    answer
}

fn failure(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = json!({"error": {"code": status.as_u16(), "message": message, "type": kind}});
    (status, Json(body)).into_response()
}

async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn models(State(shared): State<Shared>) -> Json<Value> {
    let name = &shared.options().alias;
    Json(json!({
        "object": "list",
        "data": [{"id": name, "object": "model", "owned_by": "llama-orch-simulation"}],
    }))
}

async fn props(State(shared): State<Shared>) -> Json<Value> {
    let options = shared.options();
    Json(json!({
        "total_slots": options.slots,
        "model_path": options.model,
        "model_alias": options.alias,
        "build_info": "simulated",
        "is_sleeping": false,
        "default_generation_settings": {"n_ctx": options.context},
    }))
}

async fn slots(State(shared): State<Shared>) -> Json<Value> {
    let (_, _, busy) = shared.counters();
    let options = shared.options();
    let slots: Vec<Value> = (0..options.slots)
        .map(|id| {
            json!({
                "id": id,
                "n_ctx": options.context / options.slots,
                "is_processing": id < busy,
            })
        })
        .collect();
    Json(Value::Array(slots))
}

async fn metrics(State(shared): State<Shared>) -> Response {
    if !shared.options().metrics {
        return failure(
            StatusCode::NOT_IMPLEMENTED,
            "not_supported_error",
            "This server does not support metrics endpoint. Start it with `--metrics`",
        );
    }
    let (prompt, predicted, busy) = shared.counters();
    let text = format!(
        "# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.\n\
         # TYPE llamacpp:prompt_tokens_total counter\n\
         llamacpp:prompt_tokens_total {prompt}\n\
         # HELP llamacpp:tokens_predicted_total Number of generation tokens processed.\n\
         # TYPE llamacpp:tokens_predicted_total counter\n\
         llamacpp:tokens_predicted_total {predicted}\n\
         # HELP llamacpp:requests_processing Number of requests processing.\n\
         # TYPE llamacpp:requests_processing gauge\n\
         llamacpp:requests_processing {busy}\n\
         # HELP llamacpp:requests_deferred Number of requests deferred.\n\
         # TYPE llamacpp:requests_deferred gauge\n\
         llamacpp:requests_deferred 0\n"
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// What an answer is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Completion,
    Chat,
}

async fn completion(State(shared): State<Shared>, body: Bytes) -> Response {
    answer(shared, &body, Shape::Completion).await
}

async fn chat(State(shared): State<Shared>, body: Bytes) -> Response {
    answer(shared, &body, Shape::Chat).await
}

async fn answer(shared: Shared, body: &[u8], shape: Shape) -> Response {
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        return failure(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            "the body is not JSON",
        );
    };
    let slot = shared.slot();
    shared.prompted(body.len() as u64 / 4);
    let limit = ["n_predict", "max_tokens"]
        .iter()
        .find_map(|key| request.get(*key)?.as_u64());
    let count = usize::try_from(limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let words: Vec<&'static str> = WORDS.split_inclusive(' ').take(count).collect();
    if request.get("stream").and_then(Value::as_bool) == Some(true) {
        return streamed(shared, slot, words, shape);
    }
    tokio::time::sleep(shared.token_time() * u32::try_from(words.len()).unwrap_or(1)).await;
    shared.predicted(words.len() as u64);
    drop(slot);
    let text = words.concat();
    let model = &shared.options().alias;
    Json(match shape {
        Shape::Completion => json!({
            "content": text, "stop": true, "model": model, "simulated": true,
            "tokens_predicted": words.len(),
        }),
        Shape::Chat => json!({
            "object": "chat.completion", "model": model, "simulated": true,
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
            }],
            "usage": {"completion_tokens": words.len()},
        }),
    })
    .into_response()
}

/// One event per word; a client that hangs up ends the work, and its slot is free again.
fn streamed(shared: Shared, slot: BusySlot, words: Vec<&'static str>, shape: Shape) -> Response {
    let start = (shared, slot, words.into_iter(), Some(()));
    let events = stream::unfold(start, move |(shared, slot, mut words, more)| async move {
        more?;
        let Some(word) = words.next() else {
            let last = match shape {
                Shape::Completion => "data: {\"content\":\"\",\"stop\":true}\n\n".to_owned(),
                Shape::Chat => "data: [DONE]\n\n".to_owned(),
            };
            return Some((
                Ok::<_, Infallible>(Bytes::from(last)),
                (shared, slot, words, None),
            ));
        };
        tokio::time::sleep(shared.token_time()).await;
        shared.predicted(1);
        let event = match shape {
            Shape::Completion => json!({"content": word, "stop": false, "simulated": true}),
            Shape::Chat => json!({
                "object": "chat.completion.chunk", "simulated": true,
                "choices": [{"index": 0, "delta": {"content": word}}],
            }),
        };
        let bytes = Bytes::from(format!("data: {event}\n\n"));
        Some((Ok(bytes), (shared, slot, words, Some(()))))
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, Body::from_stream(events)).into_response()
}

impl Shared {
    fn token_time(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.options().faults.token_rate)
    }
}

async fn not_found() -> Response {
    failure(StatusCode::NOT_FOUND, "not_found_error", "File Not Found")
}
