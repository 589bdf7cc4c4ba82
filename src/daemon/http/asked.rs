//! What a request asks for, read once; whatever is wrong with it is answered in our own shape.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Owner;
use super::failure::{Answered, Failure};
use crate::api::LONG_POLL_LIMIT_MS;
use crate::api::error::ErrorCode;
use crate::domain::instance::InstanceName;

/// The query, with every key optional.
pub(in crate::daemon) struct Question<T>(pub(in crate::daemon) T);

/// The body, which is JSON or absent.
pub(in crate::daemon) struct Given<T>(pub(in crate::daemon) T);

/// The body, which must be there.
pub(in crate::daemon) struct Needed<T>(pub(in crate::daemon) T);

/// The name in the path, whether there is something of that name or not.
pub(in crate::daemon) struct Named<N>(pub(in crate::daemon) N);

/// The name in the path of something that is there.
pub(in crate::daemon) struct Known<N>(pub(in crate::daemon) N);

/// What a path can name.
pub(in crate::daemon) trait Name: Sized + Send {
    /// Reads it; where the text can be no name, nothing is there.
    fn read(text: &str) -> Answered<Self>;

    /// Returns it when there is something of that name.
    fn present(self, owner: &Owner) -> Answered<Self>;
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Question<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answered<Self> {
        let Query(query) = Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Given<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Answered<Self> {
        let body = <Json<Value> as OptionalFromRequest<S>>::from_request(request, state).await?;
        match body.map(|Json(body)| body) {
            None | Some(Value::Null) => Ok(Self(T::default())),
            Some(body) => object(body).map(Self),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Needed<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Answered<Self> {
        let Json(body) = <Json<Value> as FromRequest<S>>::from_request(request, state).await?;
        object(body).map(Self)
    }
}

fn object<T: DeserializeOwned>(body: Value) -> Answered<T> {
    let wrong = |message: String| Failure::new(ErrorCode::Invalid, message);
    if !body.is_object() {
        // A list would be read as the fields in their order, which nobody promises.
        return Err(wrong("the body must be a JSON object".to_owned()));
    }
    serde_json::from_value(body).map_err(|error| wrong(format!("the body: {error}")))
}

impl<N: Name> FromRequestParts<Owner> for Named<N> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, owner: &Owner) -> Answered<Self> {
        let Path(text) = Path::<String>::from_request_parts(parts, owner).await?;
        N::read(&text).map(Self)
    }
}

impl<N: Name> FromRequestParts<Owner> for Known<N> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, owner: &Owner) -> Answered<Self> {
        let Named(name) = Named::<N>::from_request_parts(parts, owner).await?;
        name.present(owner).map(Self)
    }
}

impl Name for InstanceName {
    fn read(text: &str) -> Answered<Self> {
        Self::parse(text).map_err(|_| no_instance(text))
    }

    fn present(self, owner: &Owner) -> Answered<Self> {
        let picture = owner.handle.snapshot();
        match picture.rows.iter().any(|row| row.name == self) {
            true => Ok(self),
            false => Err(no_instance(self.as_str())),
        }
    }
}

fn no_instance(text: &str) -> Failure {
    Failure::new(ErrorCode::NotFound, format!("no instance is called {text}"))
}

/// Reads the names of instances that are there.
pub(in crate::daemon) fn instances<'a>(
    owner: &Owner,
    words: impl IntoIterator<Item = &'a str>,
) -> Answered<Vec<InstanceName>> {
    let names = words.into_iter().map(InstanceName::read);
    names.map(|name| name?.present(owner)).collect()
}

/// The longest that an answer is waited for.
pub(super) const LONGEST: Duration = Duration::from_millis(LONG_POLL_LIMIT_MS);

/// Returns how long an answer may be waited for; `usual` when nobody says.
pub(super) fn patience(wait_ms: Option<u64>, usual: Duration) -> Duration {
    wait_ms.map_or(usual, Duration::from_millis).min(LONGEST)
}
