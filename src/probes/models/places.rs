//! Where models usually are: the folders of the programs that fetch them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::model_file::Store;

/// One folder to look into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub store: Store,
    pub folder: PathBuf,
}

/// Where Ollama keeps its models when it runs as a service, by its installers.
const OLLAMA_SERVICE: [&str; 2] = [
    "/usr/share/ollama/.ollama/models",
    "/var/lib/ollama/.ollama/models",
];

/// Returns the places to look into, those of the home and of the user first; a folder that is not
/// there is left out. `variable` reads the environment.
#[must_use]
pub fn usual(
    home_models: &Path,
    folders: &[PathBuf],
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<Place> {
    let path = |name: &str| {
        variable(name)
            .filter(|text| !text.is_empty())
            .map(PathBuf::from)
    };
    let user = path("HOME");
    let below_user = |folder: &str| user.as_ref().map(|user| user.join(folder));
    let cache = path("XDG_CACHE_HOME").or_else(|| below_user(".cache"));
    let below_cache = |folder: &str| cache.as_ref().map(|cache| cache.join(folder));
    let hub = path("HF_HUB_CACHE")
        .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| path("HF_HOME").map(|folder| folder.join("hub")))
        .or_else(|| below_cache("huggingface/hub"));
    let lm_studio = user.as_deref().and_then(lm_studio);

    let mut places = vec![(Store::Home, Some(home_models.to_owned()))];
    let named = folders.iter().cloned().chain(below_user("models"));
    places.extend(named.map(|folder| (Store::Folder, Some(folder))));
    places.extend([
        (Store::HuggingFace, hub),
        (Store::LlamaCpp, path("LLAMA_CACHE")),
        (Store::LlamaCpp, below_cache("llama.cpp")),
        (Store::LmStudio, lm_studio),
        (Store::LmStudio, below_cache("lm-studio/models")),
        (Store::Ollama, path("OLLAMA_MODELS")),
        (Store::Ollama, below_user(".ollama/models")),
    ]);
    let services = OLLAMA_SERVICE.map(|folder| (Store::Ollama, Some(PathBuf::from(folder))));
    let mut there: Vec<Place> = Vec::new();
    for (store, folder) in places.into_iter().chain(services) {
        let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
            continue;
        };
        if !there.iter().any(|place| place.folder == folder) {
            there.push(Place { store, folder });
        }
    }
    there
}

/// Returns LM Studio's models: its folder may be elsewhere, which a file in the user's folder says.
fn lm_studio(user: &Path) -> Option<PathBuf> {
    let pointer = fs::read_to_string(user.join(".lmstudio-home-pointer")).ok();
    let named = pointer
        .map(|text| PathBuf::from(text.trim()))
        .filter(|folder| folder.is_absolute());
    Some(
        named
            .unwrap_or_else(|| user.join(".lmstudio"))
            .join("models"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_say_where_to_look_and_what_is_not_there_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for name in [
            "home/models",
            "user/models",
            "user/.cache/huggingface/hub",
            "user/.cache/llama.cpp",
            "user/.lmstudio/models",
            "user/.ollama/models",
            "elsewhere/models",
            "hub",
        ] {
            fs::create_dir_all(root.join(name)).expect("a folder");
        }
        let of = |variables: &[(&str, &str)], folders: &[PathBuf]| -> Vec<String> {
            let variable = |name: &str| {
                let mut all = variables.iter().chain([&("HOME", "user")]);
                let (_, value) = all.find(|(variable, _)| *variable == name)?;
                Some(root.join(value).into_os_string())
            };
            let places = usual(&root.join("home/models"), folders, variable);
            let told = places.iter().filter_map(|place| {
                let below = place.folder.strip_prefix(root).ok()?;
                Some(format!("{} {}", place.store, below.display()))
            });
            told.collect()
        };
        let usual = [
            "home home/models",
            "folder user/models",
            "huggingface user/.cache/huggingface/hub",
            "llama.cpp user/.cache/llama.cpp",
            "lmstudio user/.lmstudio/models",
            "ollama user/.ollama/models",
        ];
        assert_eq!(of(&[], &[]), usual);
        let hub = of(&[("HF_HUB_CACHE", "hub"), ("XDG_CACHE_HOME", "none")], &[]);
        assert!(hub.contains(&"huggingface hub".to_owned()), "{hub:?}");
        assert!(!hub.iter().any(|place| place.starts_with("llama.cpp")));
        let named = of(&[], &[root.join("elsewhere")]);
        assert_eq!(named[1], "folder elsewhere");

        let pointer = root.join("user/.lmstudio-home-pointer");
        fs::write(pointer, format!("{}\n", root.join("elsewhere").display())).expect("written");
        let moved = of(&[], &[]);
        assert!(moved.contains(&"lmstudio elsewhere/models".to_owned()));
    }
}
