//! The reader against a corpus of good and hostile files, and against mutations of them.

use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{HeaderError, read, read_header};
use crate::domain::gguf::{Endian, ModelHeader, Value};

fn corpus(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/gguf")
        .join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("read the corpus")
        .map(|entry| entry.expect("read an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "gguf"))
        .collect();
    files.sort();
    files
}

fn name_of(path: &Path) -> String {
    let name = path.file_stem().expect("a file's name");
    name.to_string_lossy().into_owned()
}

#[test]
fn every_good_file_is_read_the_same_in_each_version_and_byte_order() {
    let read_one = |name: &str| {
        let path = format!(
            "{}/tests/data/gguf/good/{name}.gguf",
            env!("CARGO_MANIFEST_DIR")
        );
        read(Path::new(&path)).expect("read a good file")
    };
    let three = read_one("version-3");
    assert_eq!((three.version, three.endian), (3, Endian::Little));
    assert_eq!(three.architecture(), Some("llama"));
    assert_eq!(three.name(), Some("tiny"));
    assert_eq!(three.trained_context(), Some(2048));
    assert_eq!(three.per_layer("attention.head_count", 0), Some(2));
    assert_eq!(three.per_layer("attention.head_count_kv", 0), Some(1));
    assert_eq!(three.per_layer("attention.head_count_kv", 1), None);
    assert_eq!(three.values["tokenizer.ggml.tokens"], Value::Skipped(3));
    assert_eq!(
        three.values["tokenizer.chat_template"],
        Value::Skipped(1500)
    );
    assert_eq!(three.tensors[1].name, "blk.0.attn_q.weight");
    assert_eq!(three.tensor_bytes(), 96 + 36);
    for (name, version, endian) in [
        ("version-2", 2, Endian::Little),
        ("big-endian", 3, Endian::Big),
    ] {
        let other = read_one(name);
        let expected = ModelHeader {
            version,
            endian,
            ..three.clone()
        };
        assert_eq!(other, expected, "{name}");
    }
    let kinds = read_one("every-kind");
    assert_eq!(kinds.values["v01"], Value::Signed(-5));
    assert_eq!(kinds.values["v08"], Value::Unsigned(1 << 63));
    assert_eq!(kinds.values["v10"], Value::Float(0.25));
    assert_eq!(kinds.values["list.bool"], Value::Numbers(vec![1, 0, 1]));
    assert_eq!(kinds.values["list.i8"], Value::Numbers(vec![-1, 2]));
    assert_eq!(kinds.values["list.long"], Value::Skipped(5000));
    assert_eq!(corpus("good").len(), 6);
}

#[test]
fn every_bad_file_is_refused_in_words_that_say_why() {
    let mut told = String::new();
    for path in corpus("bad") {
        let error = read(&path).expect_err("a bad file was taken for a good one");
        assert_eq!(error.path, path);
        writeln!(told, "{}: {}", name_of(&path), error.error).expect("write to a string");
    }
    let expected = include_str!("../../../tests/data/gguf/bad.expected");
    assert_eq!(told, expected);
}

#[test]
fn a_split_model_is_read_from_its_first_part_and_a_missing_part_is_named() {
    let parts = corpus("split");
    let of = |name: &str| {
        let path = parts.iter().find(|path| name_of(path) == name);
        read(path.expect("a part"))
    };
    let whole = of("whole-00001-of-00003").expect("read all parts");
    assert_eq!((whole.files, whole.tensors.len()), (3, 3));
    assert_eq!(whole.tensors[2].layer(), Some(2));
    for (name, text) in [
        (
            "whole-00002-of-00003",
            "by its first part, whole-00001-of-00003.gguf",
        ),
        (
            "gap-00001-of-00003",
            "gap-00002-of-00003.gguf: cannot be read",
        ),
        ("renamed", "does not end in -00001-of-00003.gguf"),
    ] {
        let error = of(name)
            .expect_err("an incomplete model was read")
            .to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = read(Path::new("/")).expect_err("a folder was read");
    assert!(matches!(folder.error, HeaderError::NotAFile), "{folder}");
    let missing = read(Path::new("/nonexistent.gguf")).expect_err("nothing was read");
    assert!(
        missing
            .to_string()
            .starts_with("/nonexistent.gguf: cannot be read")
    );
}

#[test]
fn a_file_cut_anywhere_is_called_truncated() {
    let path = format!(
        "{}/tests/data/gguf/good/version-3.gguf",
        env!("CARGO_MANIFEST_DIR")
    );
    let whole = fs::read(path).expect("read a good file");
    for length in 0..whole.len() {
        let error = read_header(Cursor::new(&whole[..length])).expect_err("a cut file was read");
        assert!(error.is_truncated(), "{length}: {error}");
    }
    assert!(read_header(Cursor::new(&whole)).is_ok());
}

/// A good file with some of its bytes replaced, cut or repeated.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<Vec<u8>> = ["good", "bad"]
        .iter()
        .flat_map(|folder| corpus(folder))
        .map(|path| fs::read(path).expect("read the corpus"))
        .collect();
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..12);
    (prop::sample::select(files), edits).prop_map(|(mut bytes, edits)| {
        for (place, byte, how) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match how {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => bytes[at] = 0xff,
                _ => bytes[at] = byte,
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn no_mutation_makes_the_reader_panic_or_hoard(bytes in mutated()) {
        if let Ok(header) = read_header(Cursor::new(&bytes)) {
            // What is kept is never more than what was there.
            prop_assert!(header.tensors.len() <= bytes.len() / 24);
            prop_assert!(header.values.len() <= bytes.len() / 12);
        }
    }

    #[test]
    fn noise_is_no_model(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assume!(!noise.starts_with(b"GGUF"));
        prop_assert!(read_header(Cursor::new(&noise)).is_err());
    }

    #[test]
    fn noise_behind_the_magic_costs_an_error_at_most(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(noise);
        read_header(Cursor::new(&bytes)).ok(); // whatever it says, it says it
    }
}
