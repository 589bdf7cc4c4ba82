//! Ollama's store: manifests by name, files by their content's hash.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Candidate;

/// A manifest is some hundred bytes.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// Below `manifests/`: registry, namespace, name, tag.
const NAME_PARTS: usize = 4;

/// What Ollama leaves out of a name.
const USUAL: [&str; 2] = ["registry.ollama.ai", "library"];

const MODEL: &str = "application/vnd.ollama.image.model";
const PROJECTOR: &str = "application/vnd.ollama.image.projector";

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(rename = "mediaType")]
    media_type: String,
    digest: String,
}

/// Returns the model of every manifest that has one in a file.
pub(super) fn candidates(root: &Path, notes: &mut Vec<String>) -> Vec<Candidate> {
    let manifests = root.join("manifests");
    let mut found = Vec::new();
    each(
        &manifests,
        NAME_PARTS,
        notes,
        &mut |path, notes| match read(path) {
            Ok(manifest) => found.extend(candidate(root, &manifests, path, &manifest)),
            Err(error) => notes.push(format!("{}: {error}", path.display())),
        },
    );
    found
}

/// Calls for every file so many levels below a folder.
fn each(
    folder: &Path,
    levels: usize,
    notes: &mut Vec<String>,
    call: &mut dyn FnMut(&Path, &mut Vec<String>),
) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            notes.push(format!("{}: {error}", folder.display()));
            return;
        }
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        match (levels, path.is_dir()) {
            (1, false) => call(&path, notes),
            (2.., true) => each(&path, levels - 1, notes, call),
            (_, _) => {}
        }
    }
}

fn read(path: &Path) -> io::Result<Manifest> {
    let mut text = String::new();
    File::open(path)?
        .take(MANIFEST_LIMIT)
        .read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

fn candidate(root: &Path, manifests: &Path, path: &Path, manifest: &Manifest) -> Option<Candidate> {
    let parts: Vec<_> = path
        .strip_prefix(manifests)
        .ok()?
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    Some(Candidate {
        name: name(&parts)?,
        group: String::new(),
        path: layer(root, manifest, MODEL)?,
        projector: layer(root, manifest, PROJECTOR),
    })
}

/// Returns the name as `ollama list` shows it.
fn name(parts: &[String]) -> Option<String> {
    let (tag, before) = parts.split_last()?;
    let [registry, namespace, ..] = before else {
        return None;
    };
    let left_out = match (registry == USUAL[0], namespace == USUAL[1]) {
        (true, true) => 2,
        (true, false) => 1,
        (false, _) => 0,
    };
    Some(format!("{}:{tag}", before[left_out..].join("/")))
}

/// Returns the file of a layer; its digest comes from a file of strangers and must be nothing but
/// a hash.
fn layer(root: &Path, manifest: &Manifest, media_type: &str) -> Option<PathBuf> {
    let mut layers = manifest.layers.iter();
    let layer = layers.find(|layer| layer.media_type == media_type)?;
    let hash = layer.digest.strip_prefix("sha256:")?;
    let is_hash = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| root.join("blobs").join(format!("sha256-{hash}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_ollama_lists() {
        let rows = [
            ("registry.ollama.ai/library/llama3/8b", Some("llama3:8b")),
            ("registry.ollama.ai/me/mine/latest", Some("me/mine:latest")),
            (
                "hf.co/unsloth/Qwen3-GGUF/Q4_K_M",
                Some("hf.co/unsloth/Qwen3-GGUF:Q4_K_M"),
            ),
            ("too/short", None),
        ];
        for (path, expected) in rows {
            let parts: Vec<_> = path.split('/').map(str::to_owned).collect();
            assert_eq!(name(&parts).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_digest_leads_to_nothing_outside_of_the_store() {
        for (digest, expected) in [
            ("sha256:0a1b", Some("/o/blobs/sha256-0a1b")),
            ("sha256:../../../etc/passwd", None),
            ("sha256:", None),
            ("md5:0a1b", None),
        ] {
            let manifest = Manifest {
                layers: vec![Layer {
                    media_type: MODEL.to_owned(),
                    digest: digest.to_owned(),
                }],
            };
            let path = layer(Path::new("/o"), &manifest, MODEL);
            assert_eq!(path.as_deref(), expected.map(Path::new), "{digest}");
        }
    }
}
