//! Which keys of the query each route reads, for `/openapi.json`.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::LogQuery;
use crate::api::wire::allowed;

/// Where to look, and which lines there are: what all but the size are asked with.
const LOOK: [&str; 5] = ["stream", "at", "filter", "filter_case", "filter_sense"];

/// The keys of a page.
pub struct PageKeys;

/// The keys of a search.
pub struct SearchKeys;

/// The keys of a count.
pub struct CountKeys;

/// The keys of a size.
pub struct SizeKeys;

impl IntoParams for PageKeys {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        only(
            place,
            &LOOK,
            &["direction", "lines", "line_bytes", "wait_ms"],
        )
    }
}

impl IntoParams for SearchKeys {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        only(place, &LOOK, &["direction", "pattern", "case", "level"])
    }
}

impl IntoParams for CountKeys {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        only(place, &LOOK, &["pattern", "case", "level", "mark"])
    }
}

impl IntoParams for SizeKeys {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut keys = only(place, &["stream", "at"], &["wait_ms"]);
        // The size is held against one place that was there before, and nothing else.
        for key in keys.iter_mut().filter(|key| key.name == "at") {
            key.schema = Some(allowed::cursor().into());
            key.description = Some("A cursor of an earlier answer.".to_owned());
        }
        keys
    }
}

fn only(place: impl Fn() -> Option<ParameterIn>, some: &[&str], others: &[&str]) -> Vec<Parameter> {
    let mut keys = LogQuery::into_params(place);
    keys.retain(|key| {
        [some, others]
            .iter()
            .any(|all| all.contains(&key.name.as_str()))
    });
    keys
}
