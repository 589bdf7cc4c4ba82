//! Who is let in over TCP: whoever shows the token, or, where none is needed, whoever asks this
//! machine by its own name.
//!
//! Without a token anybody on this machine may ask, and a browser on it is asked to by every page it
//! shows. So a page of another origin is refused, and so is a name that somebody else made point
//! here (DNS rebinding).

use std::path::{Path, PathBuf};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::watch;
use tracing::debug;

use super::failure::Failure;
use super::openapi;
use crate::api::error::{ErrorBody, ErrorCode};
use crate::api::{VERSION, VERSION_HEADER};
use crate::config::settings::Access;
use crate::daemon::token::Token;

/// What a caller over TCP has to bring.
#[derive(Clone, Debug)]
pub enum Admission {
    /// What stands in this file when the caller asks.
    Token(PathBuf),
    /// Only on an address of this machine.
    Anybody,
}

/// The rule of one door, as it is at each request.
pub type Gate = watch::Receiver<Admission>;

impl From<&Access> for Admission {
    fn from(access: &Access) -> Self {
        match access {
            Access::Token { file } => Self::Token(file.clone()),
            Access::Anybody => Self::Anybody,
        }
    }
}

/// Lets a request in or answers why not.
pub(super) async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let admission = gate.borrow().clone();
    let refused = match &admission {
        _ if openapi::is_public(request.uri().path()) => Ok(()),
        Admission::Token(file) => check_token(file, request.headers()),
        Admission::Anybody => check_names(request.headers()),
    };
    let Err(body) = refused else {
        return next.run(request).await;
    };
    let unauthorized = body.code == ErrorCode::Unauthorized;
    let mut answer = Failure(body).into_response();
    let headers = answer.headers_mut();
    headers.insert(VERSION_HEADER, HeaderValue::from_static(VERSION));
    if unauthorized {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

/// The file is read each time, so that a token that was replaced opens nothing any more.
fn check_token(file: &Path, headers: &HeaderMap) -> Result<(), ErrorBody> {
    let shown = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, shown)| shown.trim());
    let message = match shown.map(|shown| Token::load(file).map(|token| token.is(shown))) {
        Some(Ok(true)) => return Ok(()),
        Some(Ok(false)) => "this is not the token",
        None => "a token is needed",
        Some(Err(error)) => {
            debug!(%error, "nobody is let in");
            // Whoever may know what is wrong with the file reads it in the owner's events.
            let message = "nobody is let in: the owner's token file cannot be used";
            return Err(ErrorBody::new(ErrorCode::Unauthorized, message)
                .with_hint("on the owner's machine, llama-orch events says why"));
        }
    };
    Err(ErrorBody::new(ErrorCode::Unauthorized, message).with_hint(
        "send the header Authorization: Bearer TOKEN; it stands in the owner's token file",
    ))
}

fn check_names(headers: &HeaderMap) -> Result<(), ErrorBody> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let host = headers.get(HOST).map(text).unwrap_or_default();
    if !is_this_machine(&host) {
        let message = format!("{host:?} is no name of this machine");
        return Err(ErrorBody::new(ErrorCode::Forbidden, message)
            .with_hint("without a token only localhost and loopback addresses are answered"));
    }
    let Some(origin) = headers.get(ORIGIN).map(text) else {
        return Ok(());
    };
    match origin.split_once("://") {
        Some((_, name)) if name == host => Ok(()),
        Some(_) | None => {
            let message = format!("a page of {origin} may not ask");
            Err(ErrorBody::new(ErrorCode::Forbidden, message))
        }
    }
}

/// Returns whether a `Host` header means this machine, whatever its port.
fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_only_this_machine_by_its_own_name_is_heard() {
        let rows = [
            (Some("localhost:8080"), None, true),
            (Some("LOCALHOST"), None, true),
            (Some("127.0.0.1:8080"), None, true),
            (Some("127.9.9.9"), None, true),
            (Some("[::1]:8080"), None, true),
            (Some("localhost:8080"), Some("http://localhost:8080"), true),
            (Some("localhost:8080"), Some("http://localhost:9"), false),
            (Some("localhost:8080"), Some("null"), false),
            (Some("localhost:8080"), Some("http://evil.example"), false),
            (Some("evil.example:8080"), None, false),
            (Some("127.0.0.1.evil.example"), None, false),
            (Some("localhost.evil.example"), None, false),
            (Some("192.168.1.7:8080"), None, false),
            (Some("a b"), None, false),
            (None, None, false),
        ];
        for (host, origin, heard) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in [(HOST, host), (ORIGIN, origin)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(check_names(&headers).is_ok(), heard, "{host:?} {origin:?}");
        }
    }
}
