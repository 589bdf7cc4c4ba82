//! How much of a request is taken in, and for how long.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::failure::Failure;
use crate::api::error::ErrorCode;

/// A larger body is none of ours.
const BODY_LIMIT: usize = 256 << 10;

/// Whoever has not sent the body by then is not going to.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Takes the whole body in before anything is done with the request.
pub(super) async fn take_in(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let announced = parts.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT as u64) {
        return too_large().into_response();
    }
    let whole = Limited::new(body, BODY_LIMIT).collect();
    let bytes = match tokio::time::timeout(BODY_TIME, whole).await {
        Ok(Ok(whole)) => whole.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return too_large().into_response(),
        Ok(Err(error)) => {
            let message = format!("the body cannot be read: {error}");
            return Failure::new(ErrorCode::Invalid, message).into_response();
        }
        Err(_late) => {
            let message = format!("the body was not there within {} s", BODY_TIME.as_secs());
            return Failure::new(ErrorCode::TooSlow, message).into_response();
        }
    };
    next.run(Request::from_parts(parts, Body::from(bytes)))
        .await
}

fn too_large() -> Failure {
    let message = format!("a body of more than {} KiB is not taken", BODY_LIMIT >> 10);
    Failure::new(ErrorCode::TooLarge, message)
}
