//! llama-swap's configuration: macros are filled in, commands become instances.

use std::collections::BTreeMap;

use super::command::{self, Request};
use super::words;
use super::yaml::{self, Yaml};
use super::{Import, Imported, SyntaxError};
use crate::domain::instance::InstanceName;

/// How often macros are filled in: they may hold macros, and a circle must end.
const ROUNDS: usize = 8;

/// Keys of a model that are carried over, or said in the command itself.
const CARRIED: [&str; 10] = [
    "cmd",
    "env",
    "macros",
    "name",
    "description",
    "aliases",
    "checkEndpoint",
    "unloadTimeout",
    "proxy",
    "ttl",
];

/// Keys of a model that only its proxy has a use for.
const PROXIED: [&str; 8] = [
    "unlisted",
    "metadata",
    "capabilities",
    "filters",
    "useModelName",
    "concurrencyLimit",
    "sendLoadingState",
    "timeouts",
];

/// Where things come from while importing.
pub struct World<'a> {
    /// A variable of the environment, for `${env.NAME}`.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The next free port from this one on.
    pub port: &'a mut dyn FnMut(u16) -> Option<u16>,
}

/// Returns an instance per model that runs llama-server.
///
/// # Errors
///
/// Returns where the file is no YAML.
pub fn import(
    text: &str,
    world: &mut World<'_>,
    taken: &mut Vec<InstanceName>,
) -> Result<Import, SyntaxError> {
    let root = yaml::parse(text)?;
    let mut file = File {
        start_port: number(root.get("startPort")).unwrap_or(5800),
        preload: preload(&root),
        root: &root,
        import: Import::default(),
    };
    let models = root.get("models").map(Yaml::entries).unwrap_or_default();
    if models.is_empty() {
        let note = "there are no models in it".to_owned();
        file.import.notes.push(note);
    }
    for (id, model) in models {
        file.model(id, model, world, taken);
    }
    file.rest();
    Ok(file.import)
}

struct File<'a> {
    root: &'a Yaml,
    start_port: u16,
    preload: Vec<String>,
    import: Import,
}

impl File<'_> {
    fn model(
        &mut self,
        id: &str,
        model: &Yaml,
        world: &mut World<'_>,
        taken: &mut Vec<InstanceName>,
    ) {
        let skip = |why: String| format!("{id} is left out: {why}");
        let Some(command) = model.get("cmd").and_then(Yaml::text) else {
            self.import.notes.push(skip("it has no cmd".to_owned()));
            return;
        };
        let mut macros = self.macros(id, model);
        let needs_port = self.fill(command, &macros, world).contains("${PORT}");
        if needs_port && let Some(port) = (world.port)(self.start_port) {
            macros.push(("PORT".to_owned(), port.to_string()));
        }
        let command = self.fill(command, &macros, world);
        let words = match words::split(&command) {
            Ok(words) => words,
            Err(error) => return self.import.notes.push(skip(error.to_owned())),
        };
        let mut env = BTreeMap::new();
        for item in model.get("env").map(Yaml::items).unwrap_or_default() {
            let item = self.fill(item.text().unwrap_or_default(), &macros, world);
            if let Some((name, value)) = item.split_once('=') {
                env.insert(name.to_owned(), value.to_owned());
            }
        }
        let request = Request {
            words: &words,
            env,
            name: Some(id),
            port: None,
            from: "llama-swap",
        };
        match command::import(&request, taken) {
            Ok(mut imported) => {
                self.settings(id, model, &command, &mut imported);
                self.import.instances.push(imported);
            }
            Err(error) => self.import.notes.push(skip(error.to_string())),
        }
    }

    /// Returns the macros of a model, its own first: the first that fits is taken.
    fn macros(&self, id: &str, model: &Yaml) -> Vec<(String, String)> {
        let own = model.get("macros");
        let global = self.root.get("macros");
        let pairs = |table: Option<&Yaml>| -> Vec<(String, String)> {
            let entries = table.map(Yaml::entries).unwrap_or_default().iter();
            entries
                .filter_map(|(name, value)| Some((name.clone(), value.text()?.trim().to_owned())))
                .collect()
        };
        let mut macros = vec![("MODEL_ID".to_owned(), id.to_owned())];
        macros.extend(pairs(own));
        macros.extend(pairs(global));
        macros
    }

    fn fill(&self, text: &str, macros: &[(String, String)], world: &World<'_>) -> String {
        /// Longer than any command; a macro may hold itself twice.
        const LIMIT: usize = 64 * 1024;
        let mut text = text.to_owned();
        for _ in 0..ROUNDS {
            let mut filled = String::with_capacity(text.len());
            let mut rest = text.as_str();
            while let Some((before, after)) = rest.split_once("${") {
                filled.push_str(before);
                let Some((name, behind)) = after.split_once('}') else {
                    filled.push_str("${");
                    rest = after;
                    continue;
                };
                let value = match name.strip_prefix("env.") {
                    Some(variable) => (world.variable)(variable),
                    None => macros
                        .iter()
                        .find(|(known, _)| known == name)
                        .map(|(_, value)| value.clone()),
                };
                match value {
                    Some(value) => filled.push_str(&value),
                    None => {
                        filled.push_str("${");
                        filled.push_str(name);
                        filled.push('}');
                    }
                }
                rest = behind;
            }
            filled.push_str(rest);
            if filled == text || filled.len() > LIMIT {
                break;
            }
            text = filled;
        }
        text
    }

    fn settings(&self, id: &str, model: &Yaml, command: &str, imported: &mut Imported) {
        let text = |key: &str| model.get(key).and_then(Yaml::text);
        let draft = &mut imported.draft;
        if let Some(name) = text("name").filter(|name| !name.is_empty()) {
            draft.set("display_name", name);
        }
        if let Some(words) = text("description").filter(|words| !words.is_empty()) {
            let table = [("description".to_owned(), words.into())];
            draft.set(
                "model_metadata",
                toml::Value::Table(table.into_iter().collect()),
            );
        }
        match text("checkEndpoint") {
            Some("none") => draft.set("healthcheck.type", "tcp"),
            Some(path) => draft.set("healthcheck.path", path),
            None => {}
        }
        if let Some(seconds) = number::<i64>(self.root.get("healthCheckTimeout")) {
            draft.set("healthcheck.start_timeout", seconds);
        }
        let grace = model
            .get("unloadTimeout")
            .or(self.root.get("unloadTimeout"));
        if let Some(seconds) = number::<i64>(grace).filter(|seconds| *seconds > 0) {
            draft.set("stop_grace", seconds);
        }
        if self.preload.iter().any(|preloaded| preloaded == id) {
            draft.set("autostart", true);
        }
        Self::aliases(id, model, imported);
        let notes = &mut imported.notes;
        let ttl = number::<i64>(model.get("ttl")).filter(|ttl| *ttl >= 0);
        let ttl = ttl.or(number(self.root.get("globalTTL")));
        if let Some(seconds) = ttl.filter(|seconds| *seconds > 0) {
            notes.push(format!(
                "ttl {seconds}: llama-orch keeps a model loaded; \"--sleep-idle-seconds\", \"{seconds}\" in args frees it"
            ));
        }
        if command.contains("${") {
            notes.push(
                "a macro or variable in cmd is not known, and stands there as it is".to_owned(),
            );
        }
        let left: Vec<&str> = model
            .entries()
            .iter()
            .map(|(key, _)| key.as_str())
            .filter(|key| !CARRIED.contains(key))
            .collect();
        let (proxied, unknown): (Vec<&str>, Vec<&str>) =
            left.into_iter().partition(|key| PROXIED.contains(key));
        if !proxied.is_empty() {
            notes.push(format!(
                "not carried over, because no proxy stands before the server: {}",
                proxied.join(", ")
            ));
        }
        if !unknown.is_empty() {
            notes.push(format!("not carried over: {}", unknown.join(", ")));
        }
    }

    /// Clients ask for a model by its id or an alias; llama-server answers to a list of names.
    fn aliases(id: &str, model: &Yaml, imported: &mut Imported) {
        let aliases = model.get("aliases").map(Yaml::items).unwrap_or_default();
        // An alias is a text, or a table with an id.
        let name = |alias| Yaml::text(alias).or_else(|| alias.get("id").and_then(Yaml::text));
        let names: Vec<&str> = std::iter::once(id)
            .chain(aliases.iter().filter_map(name))
            .collect();
        if names == [imported.name.as_str()] {
            return;
        }
        imported.answer_to(&names);
    }

    /// Says what of the file as a whole has no place here.
    fn rest(&mut self) {
        const TAKEN: [&str; 8] = [
            "models",
            "macros",
            "startPort",
            "healthCheckTimeout",
            "globalTTL",
            "unloadTimeout",
            "hooks",
            "logLevel",
        ];
        for (key, _) in self.root.entries() {
            if TAKEN.contains(&key.as_str()) {
                continue;
            }
            let why = match key.as_str() {
                "groups" | "routing" | "profiles" | "selectors" => {
                    "llama-orch swaps no models: all that are started run together"
                }
                "apiKeys" => "each server asks for its own key: --api-key-file in args",
                "peers" => "servers of other machines are not looked after",
                _ => "it has no counterpart",
            };
            self.import
                .notes
                .push(format!("{key} is not carried over: {why}"));
        }
    }
}

fn preload(root: &Yaml) -> Vec<String> {
    let list = root
        .get("hooks")
        .and_then(|hooks| hooks.get("on_startup"))
        .and_then(|hook| hook.get("preload"));
    let items = list.map(Yaml::items).unwrap_or_default().iter();
    items
        .filter_map(|item| item.text().map(str::to_owned))
        .collect()
}

fn number<T: std::str::FromStr>(node: Option<&Yaml>) -> Option<T> {
    node.and_then(Yaml::text)?.parse().ok()
}
