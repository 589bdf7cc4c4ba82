//! Places as the programs that keep models lay them out, with headers that are real.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::places::Place;
use super::{Found, find};
use crate::domain::model_file::Store;

/// A file with these values in its header, all texts, and one tensor of four numbers.
fn gguf(path: &Path, values: &[(&str, &str)]) {
    let mut bytes = b"GGUF".to_vec();
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend((values.len() as u64).to_le_bytes());
    for (key, value) in values {
        text(&mut bytes, key);
        bytes.extend(8_u32.to_le_bytes()); // a text
        text(&mut bytes, value);
    }
    text(&mut bytes, "output.weight");
    bytes.extend(1_u32.to_le_bytes()); // one dimension
    bytes.extend(4_u64.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes()); // f32
    bytes.extend(0_u64.to_le_bytes()); // the first
    bytes.resize(bytes.len().next_multiple_of(32) + 16, 0);
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder).expect("a folder");
    fs::write(path, bytes).expect("written");
}

fn model(path: &Path) {
    gguf(path, &[("general.architecture", "llama")]);
}

fn projector(path: &Path) {
    gguf(path, &[("general.architecture", "clip")]);
}

fn place(store: Store, folder: impl Into<PathBuf>) -> Place {
    Place {
        store,
        folder: folder.into(),
    }
}

fn told(found: &Found) -> Vec<String> {
    let models = found.models.iter();
    models
        .map(|model| format!("{} {} {}", model.store, model.group, model.name))
        .collect()
}

#[test]
fn a_model_of_the_hugging_face_cache_keeps_its_name_and_its_projector() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = folder.path().join("models--owner--repo");
    let snapshot = repository.join("snapshots/0123");
    for (blob, name, write) in [
        ("aa", "sees-Q4_K_M.gguf", model as fn(&Path)),
        ("bb", "mmproj-BF16.gguf", projector),
        ("cc", "mmproj-F16.gguf", projector),
    ] {
        write(&repository.join("blobs").join(blob));
        fs::create_dir_all(&snapshot).expect("a folder");
        let target = Path::new("../../blobs").join(blob);
        symlink(target, snapshot.join(name)).expect("a link");
    }
    // A file that an interrupted download left is a link to nothing.
    symlink("../../blobs/gone", snapshot.join("gone.gguf")).expect("a link");
    let found = find(&[place(Store::HuggingFace, folder.path())]);
    assert_eq!(told(&found), ["huggingface owner/repo sees-Q4_K_M"]);
    assert_eq!(found.models[0].path, snapshot.join("sees-Q4_K_M.gguf"));
    assert_eq!(
        found.models[0].projector,
        Some(snapshot.join("mmproj-F16.gguf"))
    );
    assert!(found.notes.is_empty(), "{:?}", found.notes);
}

#[test]
fn a_file_is_told_once_and_by_the_first_place_that_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (home, other) = (folder.path().join("home"), folder.path().join("other"));
    model(&other.join("deep/er/a.gguf"));
    model(&other.join("b.gguf"));
    gguf(
        &other.join("lora.gguf"),
        &[
            ("general.architecture", "llama"),
            ("general.type", "adapter"),
        ],
    );
    fs::write(other.join("notes.txt"), "no model").expect("written");
    fs::create_dir_all(&home).expect("a folder");
    symlink(other.join("deep/er/a.gguf"), home.join("mine.gguf")).expect("a link");
    // A circle of links ends.
    symlink(&other, other.join("deep/again")).expect("a link");
    let places = [place(Store::Home, home), place(Store::Folder, other)];
    assert_eq!(told(&find(&places)), ["home  mine", "folder  b"]);
}

#[test]
fn what_cannot_be_used_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    fs::write(root.join("cut.gguf"), "GGUF").expect("written");
    let found = find(&[place(Store::Folder, root)]);
    assert_eq!(told(&found), ["folder  cut"]);
    let why = found.models[0].facts.clone().expect_err("it is cut");
    assert!(why.starts_with("is truncated"), "{why}");

    let shut = root.join("shut");
    fs::create_dir(&shut).expect("a folder");
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o000)).expect("shut");
    let notes = find(&[place(Store::Folder, root)]).notes;
    // Root may read everything.
    let is_root = fs::read_dir(&shut).is_ok();
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o700)).expect("open again");
    assert_eq!(notes.len(), usize::from(!is_root), "{notes:?}");
}

#[test]
fn ollamas_models_have_the_names_that_it_lists() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let manifest = |path: &str, layers: &[(&str, &str)]| {
        let layers: Vec<_> = layers
            .iter()
            .map(|(kind, hash)| {
                let media_type = format!("application/vnd.ollama.image.{kind}");
                format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{hash}","size":1}}"#)
            })
            .collect();
        let path = root.join("manifests/registry.ollama.ai").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, format!(r#"{{"layers":[{}]}}"#, layers.join(","))).expect("written");
    };
    model(&root.join("blobs/sha256-aa"));
    model(&root.join("blobs/sha256-bb"));
    projector(&root.join("blobs/sha256-cc"));
    manifest("library/llama3/8b", &[("model", "aa"), ("license", "dd")]);
    manifest("me/sees/latest", &[("model", "bb"), ("projector", "cc")]);
    manifest("library/only-words/latest", &[("template", "dd")]);
    fs::write(
        root.join("manifests/registry.ollama.ai/library/llama3/broken"),
        "{",
    )
    .expect("written");
    let found = find(&[place(Store::Ollama, root)]);
    assert_eq!(
        told(&found),
        ["ollama  llama3:8b", "ollama  me/sees:latest"]
    );
    let projector = found.models[1].projector.clone();
    assert_eq!(projector, Some(root.join("blobs/sha256-cc")));
    assert_eq!(found.notes.len(), 1, "{:?}", found.notes);
    assert!(found.notes[0].contains("llama3/broken: "));
}
