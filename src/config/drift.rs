//! What a running instance was started with, and what its file says now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::instance::{Binary, InstanceSpec, Layers, Port};
use crate::domain::secrets::{MASK, is_secret_variable, replace_secrets, stand_in};

/// Hexadecimal digits behind the mask of a stand-in.
const STAND_IN_DIGITS: usize = 8;

/// Characters of a value in an event or a table.
const SHOWN_LIMIT: usize = 120;

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Dotted path, such as `model.context_size`.
    pub field: String,
    /// `None` when it was not set.
    pub was: Option<String>,
    /// `None` when it is no longer set.
    pub now: Option<String>,
}

/// Returns the fields that need a restart, flat and as text; secrets appear as stand-ins that
/// differ when the secrets do.
#[must_use]
pub fn static_fields(spec: &InstanceSpec) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut put = |field: &str, value: String| {
        fields.insert(field.to_owned(), value);
    };
    put("name", spec.name.to_string());
    put("binary.path", binary_text(&spec.binary));
    if let Some(path) = &spec.model.path {
        put("model.path", path.display().to_string());
    }
    put("model.context_size", spec.model.context_size.to_string());
    if let Some(batch_size) = spec.model.batch_size {
        put("model.batch_size", batch_size.to_string());
    }
    if let Some(threads) = spec.model.threads {
        put("model.threads", threads.to_string());
    }
    put("server.host", spec.server.host.clone());
    put("server.port", port_text(spec.server.port));
    put("server.timeout", spec.server.timeout.to_string());
    put("server.parallel", spec.server.parallel.to_string());
    put("gpu.backend", spec.gpu.backend.as_str().to_owned());
    put("gpu.device_id", spec.gpu.device_id.to_string());
    put("gpu.layers", layers_text(spec.gpu.layers));
    for (name, value) in &spec.env {
        let shown = if is_secret_variable(name) {
            stand_in(value)
        } else {
            value.clone()
        };
        put(&format!("env.{name}"), shown);
    }
    if !spec.args.is_empty() {
        let args = replace_secrets(&spec.args, stand_in);
        let quoted: Vec<_> = args.iter().map(|argument| quote(argument)).collect();
        put("args", quoted.join(" "));
    }
    put("router", spec.router.to_string());
    put("logs.stdout", spec.logs.stdout.display().to_string());
    put("logs.stderr", spec.logs.stderr.display().to_string());
    put("logs.max_size", spec.logs.max_size.to_string());
    put("logs.rotation", spec.logs.rotation.to_string());
    fields
}

/// Returns what differs between the start of a run and now, in the order of the fields' names.
#[must_use]
pub fn drift(
    started: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<FieldChange> {
    let fields: BTreeSet<_> = started.keys().chain(now.keys()).collect();
    fields
        .into_iter()
        .filter(|field| started.get(*field) != now.get(*field))
        .map(|field| FieldChange {
            field: field.clone(),
            was: started.get(field).cloned(),
            now: now.get(field).cloned(),
        })
        .collect()
}

fn binary_text(binary: &Binary) -> String {
    match binary {
        Binary::InPath(name) => name.clone(),
        Binary::File(path) => path.display().to_string(),
        Binary::Simulated => super::spec::SIMULATED.to_owned(),
    }
}

fn port_text(port: Port) -> String {
    match port {
        Port::Auto => "auto".to_owned(),
        Port::Fixed(port) => port.to_string(),
    }
}

fn layers_text(layers: Layers) -> String {
    match layers {
        Layers::Count(count) => count.to_string(),
        Layers::All => "all".to_owned(),
        Layers::Auto => "auto".to_owned(),
    }
}

/// Returns a value as it may be shown in a line: as [`masked`], and cut when it is too long.
#[must_use]
pub fn shown(value: &str) -> String {
    let text = masked(value);
    if text.chars().count() > SHOWN_LIMIT {
        let kept: String = text.chars().take(SHOWN_LIMIT).collect();
        return format!("{kept}…");
    }
    text
}

/// Returns a value in which what stands for a secret tells nothing any more.
#[must_use]
pub fn masked(value: &str) -> String {
    let mut parts = value.split(MASK);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take(STAND_IN_DIGITS);
        let is_stand_in = digits.clone().count() == STAND_IN_DIGITS
            && digits.clone().all(|byte| byte.is_ascii_hexdigit());
        text.push_str(MASK);
        text.push_str(if is_stand_in {
            &part[STAND_IN_DIGITS..]
        } else {
            part
        });
    }
    text
}

/// Quotes an argument as a shell would read it back.
fn quote(argument: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+:,./@%".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| {
            value
                .as_deref()
                .map_or_else(|| "(not set)".to_owned(), shown)
        };
        write!(
            f,
            "{}: {} → {}",
            self.field,
            shown(&self.was),
            shown(&self.now)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_value_tells_nothing_of_a_secret_and_fits_into_a_line() {
        let rows = [
            ("--api-key '***0123abcd' -v", "--api-key '***' -v"),
            ("***0123abcd", "***"),
            ("a***b", "a***b"),
            ("plain", "plain"),
            ("", ""),
        ];
        for (value, expected) in rows {
            assert_eq!(shown(value), expected);
        }
        assert_eq!(shown(&"ä".repeat(500)).chars().count(), SHOWN_LIMIT + 1);
    }
}
