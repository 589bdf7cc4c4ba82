//! Where and how one run is asked.

use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::instance::InstanceSpec;
use crate::probes::Address;
use crate::probes::http::{Key, Server};

/// The way to one run's server.
#[derive(Debug)]
pub(super) struct Target {
    /// `None` without a port: nobody can be asked.
    pub(super) address: Option<Address>,
    /// Before every path but the one that the configuration gives.
    pub(super) prefix: String,
    /// The server frees its model when it is idle; such a server must never be woken.
    pub(super) may_sleep: bool,
    key_file: Option<PathBuf>,
    key: Option<Key>,
}

/// What a client of a server has to know.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where the paths of OpenAI's interface begin.
    pub base_url: String,
    /// The socket that takes the URL's host's place.
    pub socket: Option<PathBuf>,
    pub key: Option<Key>,
}

impl Endpoint {
    /// Finds out from the configuration of a run; `None` without a port. Reads the key file.
    #[must_use]
    pub fn of(spec: &InstanceSpec, port: Option<u16>, root: &Path) -> Option<Self> {
        let target = Target::new(spec, port, root);
        let key = target.key_now();
        let address = target.address?;
        let prefix = target.prefix.trim_end_matches('/');
        Some(Self {
            base_url: format!("http://{}{prefix}/v1", address.authority()),
            socket: match address {
                Address::Tcp { .. } => None,
                Address::Unix(path) => Some(path),
            },
            key,
        })
    }
}

impl Target {
    /// Finds out from the configuration; `root` is the server's working directory.
    pub(super) fn new(spec: &InstanceSpec, port: Option<u16>, root: &Path) -> Self {
        let key_file = setting(spec, "--api-key-file", "LLAMA_ARG_API_KEY_FILE");
        let key = setting(spec, "--api-key", "LLAMA_API_KEY");
        let sleep = setting(spec, "--sleep-idle-seconds", "LLAMA_ARG_SLEEP_IDLE_SECONDS");
        Self {
            address: Address::of(&spec.server.host, port),
            prefix: setting(spec, "--api-prefix", "LLAMA_ARG_API_PREFIX").unwrap_or_default(),
            may_sleep: sleep.is_some_and(|seconds| !seconds.starts_with('-')),
            key_file: key_file.map(|path| root.join(path)),
            key: key.and_then(|keys| Some(Key::new(keys.split(',').next()?.trim().to_owned()))),
        }
    }

    /// Returns the server with the key as the file holds it now.
    pub(super) fn server(&self) -> Option<Server> {
        Some(Server::new(self.address.as_ref()?, self.key_now()))
    }

    fn key_now(&self) -> Option<Key> {
        let from_file = || first_key(&fs::read_to_string(self.key_file.as_ref()?).ok()?);
        from_file().map(Key::new).or_else(|| self.key.clone())
    }
}

/// Returns the value of a flag; an argument wins over the environment, the last one over others.
fn setting(spec: &InstanceSpec, flag: &str, variable: &str) -> Option<String> {
    let after = |position: usize| spec.args.get(position + 1).cloned();
    let argument = spec.args.iter().rposition(|arg| arg == flag);
    argument
        .and_then(after)
        .or_else(|| spec.env.get(variable).cloned())
}

/// One key per line; a hash begins a comment, as in llama-server.
fn first_key(text: &str) -> Option<String> {
    text.lines()
        .map(str::trim_end)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instance::tests::spec;

    #[test]
    fn the_way_to_a_server_is_read_from_its_arguments_and_its_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("keys"), "from-file\n").expect("written");
        let target = |args: &str, env: &[(&str, &str)]| {
            let mut spec = spec("a");
            spec.args = args.split_whitespace().map(str::to_owned).collect();
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            spec.env = env.iter().map(owned).collect();
            Target::new(&spec, Some(8081), folder.path())
        };
        let key = |text: &str| Some(Key::new(text.to_owned()));
        let rows = [
            (target("", &[]), None, "", false),
            (target("--api-key a,b", &[]), key("a"), "", false),
            (
                target("--api-key a", &[("LLAMA_API_KEY", "e")]),
                key("a"),
                "",
                false,
            ),
            (target("", &[("LLAMA_API_KEY", "e")]), key("e"), "", false),
            (
                target("--api-key a --api-key-file keys", &[]),
                key("from-file"),
                "",
                false,
            ),
            (target("--api-key-file none", &[]), None, "", false),
            (
                target("--api-prefix /x --api-prefix /y", &[]),
                None,
                "/y",
                false,
            ),
            (target("--sleep-idle-seconds 60", &[]), None, "", true),
            (target("--sleep-idle-seconds -1", &[]), None, "", false),
        ];
        for (target, key, prefix, may_sleep) in rows {
            assert_eq!(target.key_now(), key, "{target:?}");
            assert_eq!(
                (target.prefix.as_str(), target.may_sleep),
                (prefix, may_sleep)
            );
            assert!(target.server().is_some());
        }
        assert!(
            Target::new(&spec("a"), None, folder.path())
                .server()
                .is_none()
        );
    }

    #[test]
    fn a_client_is_told_where_the_interface_begins() {
        let folder = Path::new("/h");
        let endpoint = |host: &str, args: &str| {
            let mut spec = spec("a");
            spec.server.host = host.to_owned();
            spec.args = args.split_whitespace().map(str::to_owned).collect();
            Endpoint::of(&spec, Some(8081), folder)
        };
        let rows = [
            ("127.0.0.1", "", "http://127.0.0.1:8081/v1", None),
            ("0.0.0.0", "", "http://127.0.0.1:8081/v1", None),
            ("::", "--api-prefix /x/", "http://[::1]:8081/x/v1", None),
            (
                "/run/a.sock",
                "",
                "http://localhost/v1",
                Some("/run/a.sock"),
            ),
        ];
        for (host, args, base_url, socket) in rows {
            let expected = Endpoint {
                base_url: base_url.to_owned(),
                socket: socket.map(PathBuf::from),
                key: None,
            };
            assert_eq!(endpoint(host, args), Some(expected), "{host}");
        }
    }

    #[test]
    fn the_first_line_that_is_no_comment_is_a_key() {
        let rows = [
            ("# ours\n\nsecret\nother\n", Some("secret")),
            ("secret\r\n", Some("secret")),
            ("# nothing\n", None),
            ("", None),
        ];
        for (text, key) in rows {
            assert_eq!(first_key(text).as_deref(), key, "{text:?}");
        }
    }
}
