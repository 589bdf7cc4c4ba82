//! What each path answers.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, SERVER};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::completion::{self, Dialect};
use super::faults::Hang;
use super::load::slot_context;
use super::logfmt::Level;
use super::metrics;
use super::server::{KEEP_ALIVE, REQUESTS_PER_CONNECTION};
use super::state::{Phase, Shared, SlotView};

/// A response body, whole or in pieces.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What `/props` and completions call the build.
pub(super) const BUILD: &str = "simulated";

const JSON: &str = "application/json; charset=utf-8";

/// Answers one request, or never does if that was ordered.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    peer: Option<IpAddr>,
) -> Response<Body> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let mut answer = route(Arc::clone(&shared), request).await;
    let headers = answer.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("llama.cpp"));
    let keep_alive = format!(
        "timeout={}, max={REQUESTS_PER_CONNECTION}",
        KEEP_ALIVE.as_secs()
    );
    if let Ok(value) = HeaderValue::from_str(&keep_alive) {
        headers.insert(HeaderName::from_static("keep-alive"), value);
    }
    if !is_asked_often(&path) {
        let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
        let status = answer.status().as_u16();
        let text = format!("done request: {method} {path} {peer} {status}");
        let log = &shared.log;
        log.server(Level::Trace, "srv", "log_server_request", &text);
    }
    answer
}

/// Returns whether a request to this path is too ordinary for the log, as in llama-server.
fn is_asked_often(path: &str) -> bool {
    matches!(
        path,
        "/health" | "/v1/health" | "/models" | "/v1/models" | "/props" | "/metrics"
    )
}

async fn route(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match shared.phase() {
        Phase::Loading if path == "/" => {}
        // Before the key is checked, as in llama-server.
        Phase::Loading => return failure(503, "unavailable_error", "Loading model"),
        Phase::Ready { .. } => {}
        Phase::Hung { hang, .. } => match hang {
            Hang::Inference => {}
            Hang::All => std::future::pending().await,
        },
    }
    let prefix = shared.settings.api_prefix.as_str();
    let Some(path) = path.strip_prefix(prefix) else {
        return not_found();
    };
    if !is_public(path) && !has_key(&shared.settings.api_keys, request.headers()) {
        let text = "unauthorized: Invalid API Key";
        shared.log.server(Level::Warning, "srv", "operator()", text);
        return failure(401, "authentication_error", "Invalid API Key");
    }
    let get = request.method() == Method::GET || request.method() == Method::HEAD;
    let post = request.method() == Method::POST;
    match path {
        "/" if get => whole(
            StatusCode::OK,
            "text/html; charset=utf-8",
            "<!doctype html><title>simulated llama-server</title><p>Simulated: no model is loaded.\n",
        ),
        "/health" | "/v1/health" if get => data(&json!({"status": "ok"})),
        "/models" | "/v1/models" if get => data(&models(&shared)),
        "/props" if get => data(&props(&shared)),
        "/metrics" if get => measured(&shared).await,
        "/slots" if get => slots(&shared).await,
        "/completion" | "/completions" if post => {
            completion::answer(shared, request, Dialect::Native).await
        }
        "/v1/completions" if post => completion::answer(shared, request, Dialect::Text).await,
        "/v1/chat/completions" | "/chat/completions" if post => {
            completion::answer(shared, request, Dialect::Chat).await
        }
        "/embedding" | "/embeddings" | "/v1/embeddings" if post => failure(
            501,
            "not_supported_error",
            "This server does not support embeddings. Start it with `--embeddings`",
        ),
        _ => not_found(),
    }
}

fn is_public(path: &str) -> bool {
    matches!(path, "/health" | "/v1/health" | "/")
}

fn has_key(keys: &[String], headers: &HeaderMap) -> bool {
    let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let given = header(&AUTHORIZATION)
        .or_else(|| header(&HeaderName::from_static("x-api-key")))
        .unwrap_or_default();
    let given = given.strip_prefix("Bearer ").unwrap_or(given);
    keys.is_empty() || keys.iter().any(|key| key == given)
}

fn models(shared: &Shared) -> Value {
    let alias = shared.model_alias();
    let aliases = match shared.settings.aliases.as_slice() {
        [] => vec![alias],
        aliases => aliases.iter().map(String::as_str).collect(),
    };
    json!({
        "models": [{
            "name": alias, "model": alias, "type": "model", "description": "simulated",
            "capabilities": ["completion"], "details": {"format": "gguf", "family": "simulated"},
        }],
        "object": "list",
        "data": [{
            "id": alias, "aliases": aliases, "tags": [], "object": "model",
            "created": shared.created, "owned_by": "llamacpp",
            "meta": {
                "n_ctx": slot_context(&shared.settings),
                "n_ctx_train": shared.settings.context,
                "n_params": 0, "size": 0, "ftype": "simulated",
            },
        }],
    })
}

fn props(shared: &Shared) -> Value {
    let settings = &shared.settings;
    json!({
        "default_generation_settings": {"n_ctx": slot_context(settings), "params": {}},
        "total_slots": settings.slots,
        "model_alias": shared.model_alias(),
        "model_path": shared.model_name(),
        "modalities": {"vision": false, "video": false, "audio": false},
        "endpoint_slots": settings.slots_endpoint,
        "endpoint_props": false,
        "endpoint_metrics": settings.metrics_endpoint,
        "chat_template": "",
        "build_info": BUILD,
        "is_sleeping": false,
    })
}

async fn measured(shared: &Shared) -> Response<Body> {
    if !shared.settings.metrics_endpoint {
        return disabled("metrics");
    }
    shared.inference().await;
    shared.log_if_idle();
    let text = metrics::text(&shared.reading());
    whole(StatusCode::OK, "text/plain; version=0.0.4", &text)
}

async fn slots(shared: &Shared) -> Response<Body> {
    if !shared.settings.slots_endpoint {
        return disabled("slots");
    }
    shared.inference().await;
    shared.log_if_idle();
    let context = slot_context(&shared.settings);
    let view = |(id, slot): (usize, SlotView)| {
        let mut view = json!({
            "id": id, "n_ctx": context, "speculative": false,
            "is_processing": slot != SlotView::Idle,
        });
        match slot {
            SlotView::Idle => {}
            SlotView::Traffic => view["id_task"] = json!(0),
            SlotView::Busy(running) => {
                view["id_task"] = json!(running.task);
                view["next_token"] = json!([{
                    "has_next_token": true, "n_decoded": running.decoded,
                }]);
            }
        }
        view
    };
    data(&shared.slots().into_iter().enumerate().map(view).collect())
}

fn disabled(endpoint: &str) -> Response<Body> {
    let text =
        format!("This server does not support {endpoint} endpoint. Start it with `--{endpoint}`");
    failure(501, "not_supported_error", &text)
}

fn not_found() -> Response<Body> {
    failure(404, "not_found_error", "File Not Found")
}

/// Returns llama-server's form of an error.
pub(super) fn failure(status: u16, kind: &str, message: &str) -> Response<Body> {
    let body = json!({"error": {"message": message, "type": kind, "code": status}});
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    whole(status, JSON, &body.to_string())
}

/// Returns an answer in JSON.
pub(super) fn data(value: &Value) -> Response<Body> {
    whole(StatusCode::OK, JSON, &value.to_string())
}

fn whole(status: StatusCode, content_type: &'static str, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    with_body(status, content_type, body.boxed_unsync())
}

/// Returns an answer with a body of any kind.
pub(super) fn with_body(
    status: StatusCode,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let value = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}
