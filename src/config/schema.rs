//! The fields of an instance's file as a JSON Schema, for editors.

use serde_json::{Map, Value, json};

use super::fields::{Field, INSTANCE, Kind};

/// Returns the schema (draft 2020-12) of `config.toml`.
#[must_use]
pub fn schema() -> Value {
    let mut properties = Map::new();
    for field in INSTANCE {
        let described = describe(field);
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
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "llama-orch instance",
        "type": "object",
        "properties": properties,
    })
}

fn describe(field: &Field) -> Value {
    let mut described = shape(field.kind);
    described["description"] = json!(field.about);
    described
}

fn shape(kind: Kind) -> Value {
    const NAME: &str = "^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$";
    match kind {
        Kind::Text | Kind::Path | Kind::Host | Kind::Address => json!({ "type": "string" }),
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
        let schema = schema();
        for field in INSTANCE {
            let pointer = field.path.replace('.', "/properties/");
            let described = schema.pointer(&format!("/properties/{pointer}/description"));
            assert_eq!(described, Some(&json!(field.about)), "{}", field.path);
        }
        let port = schema.pointer("/properties/server/properties/port/oneOf/0/maximum");
        assert_eq!(port, Some(&json!(65535)));
    }
}
