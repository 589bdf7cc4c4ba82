//! Completions: a canned text that says what it is, at the pace that was ordered.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::answers::{BUILD, Body, data, failure, with_body};
use super::state::{Occupied, Shared, prompt_seconds};

/// The answer to everything, again and again until the tokens are used up.
const CANNED: &str = "This answer is simulated: no model is loaded and nothing was generated. \
    It exists so that the server around it can be watched at work.";

/// Tokens when the client sets no limit.
const DEFAULT_TOKENS: u64 = 32;

/// More than this is never generated for one request.
const MOST_TOKENS: u64 = 1_000_000;

/// The largest request body that is read.
const MOST_BYTES: usize = 16 << 20;

/// Which of the APIs is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `/completion`
    Native,
    /// `/v1/completions`
    Text,
    /// `/v1/chat/completions`
    Chat,
}

/// What the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    dialect: Dialect,
    prompt_tokens: u64,
    tokens: u64,
    delivery: Delivery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Whole,
    Streamed,
}

/// Answers a completion request.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    dialect: Dialect,
) -> Response<Body> {
    let body = Limited::new(request.into_body(), MOST_BYTES)
        .collect()
        .await;
    let body = match body {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return failure(
                413,
                "invalid_request_error",
                "the body is too large or broken",
            );
        }
    };
    let order = match serde_json::from_slice(&body) {
        Ok(body) => order(dialect, &body),
        Err(error) => return failure(500, "server_error", &format!("parse error: {error}")),
    };
    let order = match order {
        Ok(order) => order,
        Err(missing) => {
            let text = format!("'{missing}' is required");
            return failure(400, "invalid_request_error", &text);
        }
    };
    shared.inference().await;
    let rate = shared.settings.faults.tokens_per_second;
    let occupied = shared.occupy(order.prompt_tokens).await;
    let generation = Generation {
        identity: format!("chatcmpl-{:016x}", fastrand::u64(..)),
        order,
        occupied,
        rate,
        start: Instant::now(),
        done: 0,
    };
    match order.delivery {
        Delivery::Whole => generation.whole().await,
        Delivery::Streamed => generation.streamed(),
    }
}

/// Reads the request, or returns the name of what is missing.
fn order(dialect: Dialect, body: &Value) -> Result<Order, &'static str> {
    let prompt = match dialect {
        Dialect::Native | Dialect::Text => body.get("prompt").ok_or("prompt")?,
        Dialect::Chat => body.get("messages").ok_or("messages")?,
    };
    let limits = ["max_completion_tokens", "max_tokens", "n_predict"];
    let limit = limits.iter().find_map(|name| body.get(name)?.as_u64());
    let streamed = body.get("stream").and_then(Value::as_bool) == Some(true);
    Ok(Order {
        dialect,
        prompt_tokens: words(prompt).max(1),
        tokens: limit.unwrap_or(DEFAULT_TOKENS).min(MOST_TOKENS),
        delivery: if streamed {
            Delivery::Streamed
        } else {
            Delivery::Whole
        },
    })
}

/// Counts the words of all texts in a value; a word is a token here.
fn words(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.split_whitespace().count() as u64,
        Value::Array(values) => values.iter().map(words).sum(),
        Value::Object(fields) => fields
            .get("content")
            .or(fields.get("text"))
            .map_or(0, words),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// A completion under way.
struct Generation {
    identity: String,
    order: Order,
    occupied: Occupied,
    /// Tokens per second; 0 means all at once.
    rate: f64,
    start: Instant,
    done: u64,
}

impl Generation {
    /// Waits for the next token; none when all are there.
    async fn next(&mut self) -> Option<String> {
        if self.done >= self.order.tokens {
            return None;
        }
        let word = CANNED
            .split_inclusive(' ')
            .cycle()
            .nth(usize::try_from(self.done % words_of_canned()).unwrap_or_default())?;
        self.done += 1;
        if self.rate > 0.0 {
            let due = Duration::try_from_secs_f64(self.done as f64 / self.rate);
            tokio::time::sleep_until(self.start + due.unwrap_or(Duration::MAX / 4)).await;
        } else {
            // So that other requests get their turn.
            tokio::task::yield_now().await;
        }
        self.occupied.shared.inference().await;
        self.occupied.decoded();
        let last_of_canned = !word.ends_with(' ');
        Some(if last_of_canned {
            format!("{word} ")
        } else {
            word.to_owned()
        })
    }

    async fn whole(mut self) -> Response<Body> {
        let mut text = String::new();
        while let Some(token) = self.next().await {
            text.push_str(&token);
        }
        let text = text.trim_end();
        let mut answer = match self.order.dialect {
            Dialect::Native => self.native(text, Part::Last),
            Dialect::Text => self.choice(
                "text_completion",
                &json!({"index": 0, "text": text, "finish_reason": "length"}),
            ),
            Dialect::Chat => self.choice(
                "chat.completion",
                &json!({
                    "index": 0, "finish_reason": "length",
                    "message": {"role": "assistant", "content": text},
                }),
            ),
        };
        if self.order.dialect != Dialect::Native {
            answer["usage"] = json!({
                "prompt_tokens": self.order.prompt_tokens,
                "completion_tokens": self.done,
                "total_tokens": self.order.prompt_tokens + self.done,
            });
        }
        answer["timings"] = self.timings();
        data(&answer)
    }

    fn streamed(self) -> Response<Body> {
        let events = stream::unfold(Some(self), |generation| async {
            let mut generation = generation?;
            let token = generation.next().await;
            let event = generation.event(token.as_deref());
            let frame = Frame::data(Bytes::from(event));
            Some((
                Ok::<_, Infallible>(frame),
                token.is_some().then_some(generation),
            ))
        });
        let body = StreamBody::new(events).boxed_unsync();
        with_body(StatusCode::OK, "text/event-stream", body)
    }

    /// Returns the event for a token, or the last one.
    fn event(&self, token: Option<&str>) -> String {
        let text = token.unwrap_or_default();
        let finish = token.is_none().then_some("length");
        let mut event = match self.order.dialect {
            Dialect::Native => {
                let part = if token.is_some() {
                    Part::Middle
                } else {
                    Part::Last
                };
                self.native(text, part)
            }
            Dialect::Text => self.choice(
                "text_completion",
                &json!({"index": 0, "text": text, "finish_reason": finish}),
            ),
            Dialect::Chat => {
                let delta = match token {
                    Some(text) if self.done == 1 => json!({"role": "assistant", "content": text}),
                    Some(text) => json!({"content": text}),
                    None => json!({}),
                };
                self.choice(
                    "chat.completion.chunk",
                    &json!({"index": 0, "finish_reason": finish, "delta": delta}),
                )
            }
        };
        if token.is_some() {
            return format!("data: {event}\n\n");
        }
        event["timings"] = self.timings();
        let end = match self.order.dialect {
            Dialect::Native => "",
            Dialect::Text | Dialect::Chat => "data: [DONE]\n\n",
        };
        format!("data: {event}\n\n{end}")
    }

    fn native(&self, text: &str, part: Part) -> Value {
        let mut answer = json!({
            "index": 0, "content": text, "tokens": [], "id_slot": self.occupied.slot,
            "stop": part == Part::Last, "tokens_predicted": self.done,
            "tokens_evaluated": self.order.prompt_tokens,
        });
        if part == Part::Last {
            answer["model"] = json!(self.occupied.shared.model_alias());
            answer["stop_type"] = json!("limit");
            answer["truncated"] = json!(false);
        }
        answer
    }

    fn choice(&self, object: &str, choice: &Value) -> Value {
        let shared = &self.occupied.shared;
        json!({
            "choices": [choice], "object": object, "created": shared.created,
            "model": shared.model_alias(), "system_fingerprint": BUILD, "id": self.identity,
        })
    }

    fn timings(&self) -> Value {
        let prompt = self.order.prompt_tokens;
        let spent = self.start.elapsed().as_secs_f64().max(1e-6);
        json!({
            "cache_n": 0,
            "prompt_n": prompt,
            "prompt_ms": prompt_seconds(prompt) * 1000.0,
            "prompt_per_second": 1000.0,
            "predicted_n": self.done,
            "predicted_ms": spent * 1000.0,
            "predicted_per_second": self.done as f64 / spent,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Middle,
    Last,
}

fn words_of_canned() -> u64 {
    CANNED.split_whitespace().count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_say_how_much_and_how() {
        let chat = json!([{"role": "user", "content": "a b c"}]);
        for (dialect, body, expected) in [
            (
                Dialect::Chat,
                json!({"messages": chat}),
                Ok((3, 32, Delivery::Whole)),
            ),
            (
                Dialect::Chat,
                json!({"messages": chat, "max_tokens": 5, "stream": true}),
                Ok((3, 5, Delivery::Streamed)),
            ),
            (
                Dialect::Native,
                json!({"prompt": "hi", "n_predict": 2}),
                Ok((1, 2, Delivery::Whole)),
            ),
            (
                Dialect::Text,
                json!({"prompt": "", "max_tokens": 0}),
                Ok((1, 0, Delivery::Whole)),
            ),
            (Dialect::Chat, json!({"prompt": "hi"}), Err("messages")),
            (Dialect::Native, json!({}), Err("prompt")),
        ] {
            let found = order(dialect, &body);
            let found = found.map(|order| (order.prompt_tokens, order.tokens, order.delivery));
            assert_eq!(found, expected, "{body}");
        }
    }
}
