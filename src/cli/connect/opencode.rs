//! The configuration of opencode (`opencode.json`) for one instance.

use serde_json::{Value, json};

use crate::domain::connection::{Connection, KeyPlace, NO_KEY};
use crate::domain::instance::InstanceSpec;

/// Flags by which the arguments set the context themselves.
const CONTEXT_FLAGS: [&str; 2] = ["-c", "--ctx-size"];

/// Tokens; an answer is not planned longer than this.
const LONGEST_ANSWER: u32 = 32_000;

pub(super) fn configuration(spec: &InstanceSpec, connection: &Connection) -> Value {
    let key = match &connection.key {
        KeyPlace::Nowhere => NO_KEY.to_owned(),
        KeyPlace::File(file) => format!("{{file:{file}}}"),
        KeyPlace::Configuration => "{env:OPENAI_API_KEY}".to_owned(),
    };
    let mut model = json!({ "name": spec.display_name });
    // Without limits opencode does not know when a conversation has to be shortened.
    if let Some(context) = context_of_a_request(spec) {
        let output = (context / 2).min(LONGEST_ANSWER);
        model["limit"] = json!({ "context": context, "output": output });
    }
    json!({
        "$schema": "https://opencode.ai/config.json",
        "provider": {
            format!("llama-orch-{}", spec.name): {
                "npm": "@ai-sdk/openai-compatible",
                "name": format!("{} (llama-orch)", spec.display_name),
                "options": { "baseURL": connection.base_url, "apiKey": key },
                "models": { &connection.model: model },
            }
        }
    })
}

/// Returns the tokens that one request may have; the slots share the context.
fn context_of_a_request(spec: &InstanceSpec) -> Option<u32> {
    let is_elsewhere = spec
        .args
        .iter()
        .any(|arg| CONTEXT_FLAGS.contains(&arg.as_str()));
    let context = spec.model.context_size / spec.server.parallel.max(1);
    (context > 0 && !is_elsewhere).then_some(context)
}
