//! `/openapi.json`, made from the routes themselves, and the page that shows it.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse as _;
use axum::routing::get;
use bytes::Bytes;
use serde_json::Value;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, Response,
    ResponseBuilder, SecurityRequirement, Tag,
};
use utoipa::{IntoResponses, PartialSchema as _};

use super::Owner;
use crate::api::error::{ErrorBody, ErrorCode};
use crate::api::wire::allowed;

/// Shows `/openapi.json` without anything from elsewhere.
const PAGE: &str = include_str!("../../../assets/api.html");

/// The page runs its own script and asks this owner only.
const PAGE_POLICY: &str =
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'";

/// The name of the token in the document.
const TOKEN: &str = "token";

/// What is said before everything else.
const ABOUT: &str = "The owner of a home answers on `state/llama-orch.sock` and, where `[api] \
    listen` in `orchestrator.toml` says so, over TCP to whoever sends `Authorization: Bearer \
    TOKEN`. Every failure is `{code, message, hint}`. Shapes only grow: ignore keys that you do not \
    know. Send `llama-orch-api: 1` to be told when an owner speaks another version.";

/// What each group of routes is about.
const TAGS: [(&str, &str); 7] = [
    ("fleet", "The owner and all instances"),
    ("instances", "One instance"),
    ("logs", "What an instance wrote"),
    ("work", "Units of work beside the instances"),
    ("events", "What happened"),
    ("diagnosis", "What is wrong, and what fits"),
    ("owner", "The process that answers"),
];

/// A command that changes nothing: it is already so, it cannot be, or it is refused.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let said = "It is already so, or is not possible now; nothing was changed";
        BTreeMap::from([("409".to_owned(), failure(said))])
    }
}

/// The document and the page; both say nothing about this home, so nobody needs a token for them.
pub(super) fn routes(mut document: OpenApi) -> Router<Owner> {
    complete(&mut document);
    let mut document = serde_json::to_value(document).unwrap_or_default();
    say_ranges(&mut document);
    let text = Bytes::from(document.to_string());
    let json = move || {
        let text = text.clone();
        async move { ([(CONTENT_TYPE, "application/json")], text).into_response() }
    };
    let page = || async {
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, PAGE_POLICY),
            (CACHE_CONTROL, "no-cache"),
        ];
        (headers, PAGE).into_response()
    };
    Router::new()
        .route("/openapi.json", get(json))
        .route("/", get(page))
}

/// Returns whether a path is answered without a token.
pub(super) fn is_public(path: &str) -> bool {
    matches!(path, "/" | "/openapi.json")
}

/// Adds what holds for every route: who may ask, and how it fails.
fn complete(document: &mut OpenApi) {
    document.info = InfoBuilder::new()
        .title("llama-orch")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT")
                .identifier(Some("MIT"))
                .build(),
        ))
        .build();
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "The line in `state/api-token`; not needed on the socket",
        ))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(TOKEN, SecurityScheme::Http(token));
    for (name, schema) in [
        ("ErrorBody", ErrorBody::schema()),
        ("ErrorCode", ErrorCode::schema()),
    ] {
        components.schemas.insert(name.to_owned(), schema);
    }
    document.security = Some(vec![SecurityRequirement::new(TOKEN, Vec::<String>::new())]);
    let tags = TAGS.iter().map(|(name, about)| {
        let mut tag = Tag::new(*name);
        tag.description = Some((*about).to_owned());
        tag
    });
    document.tags = Some(tags.collect());
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            // Names of functions may be the same in two files; what is asked for never is.
            let words = path
                .split(['/', '-', '.', '{', '}'])
                .filter(|word| !word.is_empty());
            let words: Vec<&str> = std::iter::once(method).chain(words).collect();
            operation.operation_id = Some(words.join("_"));
            name_paths(operation);
            add_failures(path, operation);
        }
    }
}

/// Says which names there can be in a path, once for all routes.
fn name_paths(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else {
            continue;
        };
        let names = match (&parameter.parameter_in, parameter.name.as_str()) {
            (ParameterIn::Path, "name") => allowed::instance(),
            (ParameterIn::Path, "chunk") => allowed::chunk(),
            (_, _) => continue,
        };
        parameter.schema = Some(names.into());
    }
}

/// Says how large a number without a sign may be; OpenAPI only has names for those with one.
fn say_ranges(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let unsigned = fields.get("minimum").and_then(Value::as_u64) == Some(0);
            let largest = match fields.get("format").and_then(Value::as_str) {
                Some("int32") if unsigned => Some(u64::from(u32::MAX)),
                Some("int64") if unsigned => Some(u64::MAX),
                Some(_) | None => None,
            };
            if let Some(largest) = largest {
                fields.remove("format");
                fields.entry("maximum").or_insert_with(|| largest.into());
            }
            fields.values_mut().for_each(say_ranges);
        }
        Value::Array(items) => items.iter_mut().for_each(say_ranges),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("post", &mut item.post),
        ("put", &mut item.put),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn add_failures(path: &str, operation: &mut Operation) {
    let summary = operation.summary.clone().unwrap_or_default();
    for answer in operation.responses.responses.values_mut() {
        // What the operation does is what its answer says, unless that is said.
        if let RefOr::T(answer) = answer
            && answer.description.is_empty()
        {
            answer.description.clone_from(&summary);
        }
    }
    let mut add = |code: ErrorCode, said: &str| {
        let status = code.http_status().to_string();
        let responses = &mut operation.responses.responses;
        responses.entry(status).or_insert_with(|| failure(said));
    };
    add(
        ErrorCode::Invalid,
        "The request makes no sense; the message says what does",
    );
    add(
        ErrorCode::Unauthorized,
        "Over TCP: no token, or not the right one",
    );
    add(ErrorCode::Forbidden, "Whoever asks may not");
    add(ErrorCode::OwnerError, "The owner cannot answer now");
    if path.contains('{') {
        add(ErrorCode::NotFound, "There is nothing of that name");
    }
    add(ErrorCode::TooSlow, "The request was not there in time");
    add(ErrorCode::TooLarge, "The body is too large");
    if operation.request_body.is_some() {
        let code = ErrorCode::UnsupportedMediaType;
        let status = code.http_status().to_string();
        let responses = &mut operation.responses.responses;
        responses.insert(status, failure("The body is not application/json"));
    }
}

fn failure(said: &str) -> RefOr<Response> {
    let schema = Ref::from_schema_name("ErrorBody");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(said)
        .content("application/json", content)
        .build()
        .into()
}
