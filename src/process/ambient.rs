//! What reaches a server besides its command line: llama.cpp's own configuration files, which it
//! reads at every start and before its arguments, and variables that would be flags.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The file for all users, below the root of the file system.
const SYSTEM_FILE: &str = "etc/llama.cpp/config.ini";

/// A configuration is a page of text; more is not read.
const FILE_LIMIT: u64 = 64 << 10;

/// One configuration file of llama.cpp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmbientFile {
    pub path: PathBuf,
    /// What it sets, in its order: the keys alone, since values can be secrets.
    pub keys: Vec<String>,
    /// Why it could not be read.
    pub unreadable: Option<String>,
}

/// Finds the configuration files that a server started by this process reads. They are the system's
/// and the user's; `variable` reads the environment.
#[must_use]
pub fn files(root: &Path, variable: impl Fn(&str) -> Option<String>) -> Vec<AmbientFile> {
    let user_folder = variable("XDG_CONFIG_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")));
    let user_file = user_folder.map(|folder| folder.join("llama.cpp").join("config.ini"));
    [Some(root.join(SYSTEM_FILE)), user_file]
        .into_iter()
        .flatten()
        .filter(|path| path.exists())
        .map(|path| look_at(&path))
        .collect()
}

/// Returns the names of variables that a server would read as flags, had they not been taken out.
pub fn flag_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = names.filter(|name| is_flag(name)).collect();
    found.sort();
    found
}

/// Says of a variable whether a server reads it as a flag.
#[must_use]
pub fn is_flag(name: &str) -> bool {
    name.starts_with("LLAMA_ARG_") || ["LLAMA_API_KEY", "LLAMA_SERVER_ROUTER_PORT"].contains(&name)
}

/// Says of a variable whether it is meant for the owner alone: by its service manager, such as
/// the one that ends a server when its stdin closes, or by its home.
#[must_use]
pub fn is_for_the_owner(name: &str) -> bool {
    name == "NOTIFY_SOCKET"
        || ["WATCHDOG_", "LISTEN_", "LLAMA_ORCH_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn look_at(path: &Path) -> AmbientFile {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes));
    AmbientFile {
        path: path.to_owned(),
        keys: keys(&String::from_utf8_lossy(&bytes)),
        unreadable: read.err().map(|error| error.to_string()),
    }
}

fn keys(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';', '[']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, _)| key.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_file_is_found_where_the_environment_says() {
        let folder = tempfile::tempdir().expect("make a temporary directory");
        let llama = folder.path().join("llama.cpp");
        std::fs::create_dir(&llama).expect("make a folder");
        let text = "; a comment\n[*]\nctx-size = 512\napi-key=s3cret\nnonsense\n";
        std::fs::write(llama.join("config.ini"), text).expect("write a file");
        let place = folder.path().display().to_string();
        let root = folder.path().join("root");
        let found = files(&root, |name| {
            (name == "XDG_CONFIG_HOME").then(|| place.clone())
        });
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].keys, ["ctx-size", "api-key"]);
    }

    #[test]
    fn variables_that_are_flags_are_named() {
        let names = ["PATH", "LLAMA_ARG_MODEL", "LLAMA_CACHE", "LLAMA_API_KEY"];
        let found = flag_variables(names.iter().map(|name| (*name).to_owned()));
        assert_eq!(found, ["LLAMA_API_KEY", "LLAMA_ARG_MODEL"]);
    }
}
