//! What a request asks for, read once; whatever is wrong with it is answered in our own shape.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Owner;
use super::failure::{Answered, Failure};
use crate::api::error::ErrorCode;
use crate::domain::instance::InstanceName;

/// The query, with every key optional.
pub(in crate::daemon) struct Question<T>(pub(in crate::daemon) T);

/// The body, which is JSON or absent.
pub(in crate::daemon) struct Given<T>(pub(in crate::daemon) T);

/// The instance in the path; there is one of that name.
pub(in crate::daemon) struct Named(pub(in crate::daemon) InstanceName);

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
        let wrong = |message: String| Failure::new(ErrorCode::Invalid, message);
        match body.map(|Json(body)| body) {
            None | Some(Value::Null) => Ok(Self(T::default())),
            Some(body) if body.is_object() => serde_json::from_value(body)
                .map(Self)
                .map_err(|error| wrong(format!("the body: {error}"))),
            // A list would be read as the fields in their order, which nobody promises.
            Some(_) => Err(wrong("the body must be a JSON object".to_owned())),
        }
    }
}

impl FromRequestParts<Owner> for Named {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, owner: &Owner) -> Answered<Self> {
        let Path(name) = Path::<String>::from_request_parts(parts, owner).await?;
        known_name(owner, &name).map(Self)
    }
}

/// Reads the name of an instance that exists.
pub(in crate::daemon) fn known_name(owner: &Owner, text: &str) -> Answered<InstanceName> {
    let unknown = || Failure::new(ErrorCode::NotFound, format!("no instance is called {text}"));
    let name = InstanceName::parse(text).map_err(|_| unknown())?;
    let picture = owner.handle.snapshot();
    match picture.rows.iter().any(|row| row.name == name) {
        true => Ok(name),
        false => Err(unknown()),
    }
}
