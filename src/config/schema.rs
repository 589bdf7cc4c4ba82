//! The fields of the files as JSON Schema, for editors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::defaults::{defaults, of_settings};
use super::fields::{Field, INSTANCE, Kind, SETTINGS};
use super::tree::Format;

/// Returns the schema (draft 2020-12) of `config.toml`.
#[must_use]
pub fn instance() -> Value {
    schema(
        "llama-orch instance",
        &properties(INSTANCE, &defaults(Format::Toml)),
    )
}

/// Returns the schema of `orchestrator.toml`.
#[must_use]
pub fn settings() -> Value {
    let mut properties = properties(SETTINGS, &of_settings());
    properties["defaults"]["type"] = json!("object");
    properties["defaults"]["properties"] =
        Value::Object(self::properties(INSTANCE, &defaults(Format::Toml)));
    schema("llama-orch settings", &properties)
}

fn schema(title: &str, properties: &Map<String, Value>) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": properties,
    })
}

fn properties(fields: &[Field], defaults: &BTreeMap<&str, toml::Value>) -> Map<String, Value> {
    let mut properties = Map::new();
    for field in fields {
        let mut described = describe(field);
        if let Some(value) = defaults.get(field.path) {
            described["default"] = json!(value);
        }
        match field.path.split_once('.') {
            None => {
                properties.insert(field.path.to_owned(), described);
            }
            Some((table, key)) => {
                let table = properties
                    .entry(table)
                    .or_insert_with(|| json!({ "type": "object", "properties": {} }));
                table["properties"][key] = described;
            }
        }
    }
    properties
}

fn describe(field: &Field) -> Value {
    let mut described = shape(field.kind);
    described["description"] = json!(field.about);
    described
}

fn shape(kind: Kind) -> Value {
    const NAME: &str = "^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$";
    match kind {
        Kind::Text | Kind::Path | Kind::Host => json!({ "type": "string" }),
        Kind::Line => json!({ "type": "string", "pattern": "^[^\\p{Cc}]*$" }),
        Kind::Address => json!({ "type": ["string", "integer"] }),
        Kind::Name => json!({ "type": "string", "pattern": NAME, "maxLength": 64 }),
        Kind::Uid => json!({ "type": "string", "format": "uuid" }),
        Kind::Number8 => json!({ "type": "string", "pattern": "^[0-9]{8}$" }),
        Kind::Tags | Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Map => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer {
            min: i64::MIN,
            max: i64::MAX,
        } => json!({ "type": "integer" }),
        Kind::Integer { min, max } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        Kind::Number { min, max } => json!({ "type": "number", "minimum": min, "maximum": max }),
        Kind::Seconds { min, max } => json!({ "oneOf": [
            { "type": "number", "minimum": min, "maximum": max },
            { "type": "string", "examples": ["1m 5s"] },
        ] }),
        Kind::Words(words) => json!({ "enum": words }),
        Kind::Port => json!({ "oneOf": [
            { "type": "integer", "minimum": 1, "maximum": 65535 },
            { "const": "auto" },
        ] }),
        Kind::Layers => json!({ "oneOf": [
            { "type": "integer", "minimum": 0 },
            { "enum": ["all", "auto"] },
        ] }),
        Kind::Statuses => {
            let status = json!({ "type": "integer", "minimum": 100, "maximum": 599 });
            json!({ "oneOf": [status, { "type": "array", "items": status, "minItems": 1 }] })
        }
        Kind::Free => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_the_schema() {
        let schema = instance();
        for field in INSTANCE {
            let pointer = field.path.replace('.', "/properties/");
            let described = schema.pointer(&format!("/properties/{pointer}/description"));
            assert_eq!(described, Some(&json!(field.about)), "{}", field.path);
        }
        let port = schema.pointer("/properties/server/properties/port/oneOf/0/maximum");
        assert_eq!(port, Some(&json!(65535)));
        let interval = "/properties/healthcheck/properties/interval/default";
        assert_eq!(schema.pointer(interval), Some(&json!(10)));
        let settings = settings();
        let grace = settings.pointer("/properties/defaults/properties/stop_grace/default");
        assert_eq!(grace, Some(&json!(10)));
    }
}
