//! What a client of an instance has to be told, as lines that can be copied. No key is ever in them:
//! they say where it is read.

use std::collections::BTreeMap;

use super::secrets::MASK;

/// The way to one instance, for a client on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Where the paths of OpenAI's interface begin.
    pub base_url: String,
    /// The socket that takes the URL's host's place.
    pub socket: Option<String>,
    pub key: KeyPlace,
    /// The name that the server answers to, and that of its model.
    pub model: String,
    pub serves: Serves,
}

/// Words of the present run's command and environment that say how it is reached, secrets masked.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    pub command: &'a [String],
    pub environment: &'a BTreeMap<String, String>,
    /// Paths are relative to it.
    pub home: &'a str,
}

/// Where the key is that a client must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// None is wanted.
    Nowhere,
    /// The first line of this file that is no comment.
    File(String),
    /// In the instance's configuration, from where it is not copied.
    Configuration,
}

/// What an instance is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    Text,
    Embeddings,
    Rankings,
}

/// The key of a server that wants none; clients refuse to have none at all.
pub const NO_KEY: &str = "none";

impl Serves {
    /// Tells by the server's arguments.
    #[must_use]
    pub fn of(args: &[String]) -> Self {
        let has = |flags: &[&str]| args.iter().any(|arg| flags.contains(&arg.as_str()));
        if has(&["--rerank", "--reranking"]) {
            Self::Rankings
        } else if has(&["--embedding", "--embeddings"]) {
            Self::Embeddings
        } else {
            Self::Text
        }
    }

    /// Returns the path that is asked first, with a body for the model of this name.
    fn request(self, model: &str) -> (&'static str, String) {
        // Only quotes and backslashes mean something in JSON, and no name of a model has others.
        let model = model.replace('\\', "\\\\").replace('"', "\\\"");
        match self {
            Self::Text => (
                "/chat/completions",
                format!(
                    r#"{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}"#
                ),
            ),
            Self::Embeddings => (
                "/embeddings",
                format!(r#"{{"model": "{model}", "input": "Hello"}}"#),
            ),
            Self::Rankings => (
                "/rerank",
                format!(r#"{{"model": "{model}", "query": "Hello", "documents": ["Hi", "Bye"]}}"#),
            ),
        }
    }
}

impl Run<'_> {
    /// Returns the value of a flag; an argument wins over the environment, the last one over others.
    fn setting(&self, flags: &[&str], variable: &str) -> Option<String> {
        let is_flag = |word: &String| flags.contains(&word.as_str());
        let place = self.command.iter().rposition(is_flag);
        let argument = place.and_then(|place| self.command.get(place + 1).cloned());
        argument.or_else(|| self.environment.get(variable).cloned())
    }

    fn key(&self) -> KeyPlace {
        let file = self.setting(&["--api-key-file"], "LLAMA_ARG_API_KEY_FILE");
        let inline = self.setting(&["--api-key"], "LLAMA_API_KEY");
        match (file, inline) {
            (Some(file), _) if file == MASK => KeyPlace::Configuration,
            (Some(file), _) if file.starts_with('/') => KeyPlace::File(file),
            (Some(file), _) => KeyPlace::File(format!("{}/{file}", self.home)),
            (None, Some(_)) => KeyPlace::Configuration,
            (None, None) => KeyPlace::Nowhere,
        }
    }
}

impl Connection {
    /// Finds out how a run at this URL is reached; `name` is that of its instance.
    #[must_use]
    pub fn of(name: &str, url: &str, run: Run<'_>) -> Self {
        let socket = url.strip_prefix("unix://").map(str::to_owned);
        let origin = match socket {
            Some(_) => "http://localhost",
            None => url,
        };
        let prefix = run.setting(&["--api-prefix"], "LLAMA_ARG_API_PREFIX");
        let prefix = prefix.unwrap_or_default();
        let names = run.setting(&["--alias", "-a"], "LLAMA_ARG_ALIAS");
        let first = names.as_deref().and_then(|names| names.split(',').next());
        Self {
            base_url: format!("{origin}{}/v1", prefix.trim_end_matches('/')),
            socket,
            key: run.key(),
            model: first.map_or(name, str::trim).to_owned(),
            serves: Serves::of(run.command),
        }
    }

    /// Returns the variables of OpenAI's clients, as a shell takes them.
    #[must_use]
    pub fn openai(&self) -> Vec<String> {
        let mut lines = vec![
            export("OPENAI_BASE_URL", &quoted(&self.base_url)),
            self.key_line("OPENAI_API_KEY"),
            export("LLAMA_ORCH_INSTANCE", &quoted(&self.model)),
        ];
        if let Some(socket) = &self.socket {
            lines.push(export("LLAMA_ORCH_INSTANCE_SOCKET", &quoted(socket)));
        }
        lines
    }

    /// Returns the variables of Anthropic's clients; llama-server speaks that interface, too.
    #[must_use]
    pub fn anthropic(&self) -> Vec<String> {
        vec![
            export("ANTHROPIC_BASE_URL", &quoted(self.root_url())),
            self.key_line("ANTHROPIC_AUTH_TOKEN"),
            export("ANTHROPIC_MODEL", &quoted(&self.model)),
        ]
    }

    /// Returns where Anthropic's clients begin: they add `/v1` themselves.
    #[must_use]
    pub fn root_url(&self) -> &str {
        self.base_url.strip_suffix("/v1").unwrap_or(&self.base_url)
    }

    /// Returns a request that a shell can send.
    #[must_use]
    pub fn curl(&self) -> String {
        let (path, body) = self.serves.request(&self.model);
        let mut words = vec!["curl".to_owned()];
        if let Some(socket) = &self.socket {
            words.extend(["--unix-socket".to_owned(), quoted(socket)]);
        }
        words.push(quoted(&format!("{}{path}", self.base_url)));
        words.push("-H 'Content-Type: application/json'".to_owned());
        match &self.key {
            KeyPlace::Nowhere => {}
            KeyPlace::File(file) => {
                words.push(format!("-H \"Authorization: Bearer {}\"", read_key(file)));
            }
            KeyPlace::Configuration => {
                words.push("-H \"Authorization: Bearer $OPENAI_API_KEY\"".to_owned());
            }
        }
        words.push(format!("-d {}", quoted(&body)));
        words.join(" ")
    }

    fn key_line(&self, variable: &str) -> String {
        match &self.key {
            KeyPlace::Nowhere => export(variable, NO_KEY),
            KeyPlace::File(file) => export(variable, &format!("\"{}\"", read_key(file))),
            KeyPlace::Configuration => {
                format!(
                    "# {variable}: the key is in the configuration of {}",
                    self.model
                )
            }
        }
    }
}

fn export(variable: &str, value: &str) -> String {
    format!("export {variable}={value}")
}

/// Returns what a shell reads a key by; within double quotes it stays one word.
fn read_key(file: &str) -> String {
    format!("$(grep -m 1 -v -e '^#' -e '^$' {})", quoted(file))
}

/// Writes a word so that a shell reads it back as it was.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:=,@%+".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(key: KeyPlace) -> Connection {
        Connection {
            base_url: "http://127.0.0.1:8081/v1".to_owned(),
            socket: None,
            key,
            model: "coder".to_owned(),
            serves: Serves::Text,
        }
    }

    #[test]
    fn a_connection_is_read_from_the_command_and_environment_of_the_run() {
        let of = |url: &str, command: &str, variables: &[(&str, &str)]| {
            let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let environment = variables.iter().map(owned).collect();
            let run = Run {
                command: &command,
                environment: &environment,
                home: "/h",
            };
            Connection::of("coder", url, run)
        };
        let url = "http://127.0.0.1:8081";
        assert_eq!(
            of(url, "s --alias coder", &[]),
            connection(KeyPlace::Nowhere)
        );
        let renamed = of(url, "s --alias coder --api-prefix /x/ -a gpt,other", &[]);
        assert_eq!(
            (renamed.base_url.as_str(), renamed.model.as_str()),
            ("http://127.0.0.1:8081/x/v1", "gpt")
        );
        let socket = of("unix:///run/a.sock", "s", &[]);
        assert_eq!(socket.base_url, "http://localhost/v1");
        assert_eq!(socket.socket.as_deref(), Some("/run/a.sock"));
        let file = |path: &str| KeyPlace::File(path.to_owned());
        let rows = [
            ("s --api-key-file k", "", file("/h/k")),
            ("s --api-key-file /k", "LLAMA_API_KEY", file("/k")),
            ("s --api-key ***", "", KeyPlace::Configuration),
            ("s", "LLAMA_API_KEY", KeyPlace::Configuration),
            ("s", "LLAMA_ARG_API_KEY_FILE", KeyPlace::Configuration),
        ];
        for (command, masked, key) in rows {
            let variables = [(masked, MASK)];
            assert_eq!(of(url, command, &variables).key, key, "{command} {masked}");
        }
    }

    #[test]
    fn clients_get_their_variables_and_never_a_key() {
        let rows = [
            (KeyPlace::Nowhere, "export OPENAI_API_KEY=none"),
            (
                KeyPlace::File("/h/it's/key".to_owned()),
                r#"export OPENAI_API_KEY="$(grep -m 1 -v -e '^#' -e '^$' '/h/it'\''s/key')""#,
            ),
            (
                KeyPlace::Configuration,
                "# OPENAI_API_KEY: the key is in the configuration of coder",
            ),
        ];
        for (key, expected) in rows {
            assert_eq!(
                connection(key).openai(),
                [
                    "export OPENAI_BASE_URL=http://127.0.0.1:8081/v1",
                    expected,
                    "export LLAMA_ORCH_INSTANCE=coder",
                ]
            );
        }
        assert_eq!(
            connection(KeyPlace::Nowhere).anthropic(),
            [
                "export ANTHROPIC_BASE_URL=http://127.0.0.1:8081",
                "export ANTHROPIC_AUTH_TOKEN=none",
                "export ANTHROPIC_MODEL=coder",
            ]
        );
    }

    #[test]
    fn a_request_asks_for_what_the_instance_serves() {
        let of = |args: &str| {
            let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
            let serves = Serves::of(&args);
            Connection {
                serves,
                ..connection(KeyPlace::Nowhere)
            }
            .curl()
        };
        let header = "-H 'Content-Type: application/json'";
        assert_eq!(
            of("-c 4096"),
            format!(
                "curl http://127.0.0.1:8081/v1/chat/completions {header} -d '{{\"model\": \
                 \"coder\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'"
            )
        );
        assert!(of("--embeddings").contains("/v1/embeddings "));
        assert!(of("--embedding --rerank").contains("/v1/rerank "));
        let over_socket = Connection {
            socket: Some("/run/a b.sock".to_owned()),
            ..connection(KeyPlace::Configuration)
        };
        let line = over_socket.curl();
        assert!(
            line.starts_with("curl --unix-socket '/run/a b.sock' http://"),
            "{line}"
        );
        assert!(line.contains("Bearer $OPENAI_API_KEY\""), "{line}");
    }

    #[test]
    fn a_quoted_word_can_be_pasted_into_a_shell() {
        for (word, expected) in [
            ("llama-server", "llama-server"),
            ("it's here", r"'it'\''s here'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
