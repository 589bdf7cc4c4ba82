//! A model file on this machine, with what a person chooses it by.

use std::path::PathBuf;

use super::gguf::ModelHeader;
use super::words::words;

/// A model that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile {
    /// The file's stem, or what its store calls it.
    pub name: String,
    /// The folder or repository it is in, as its store calls it; may be empty.
    pub group: String,
    pub store: Store,
    /// As it is found there: a link is not followed, because the parts of a split model have their
    /// names only where the links are.
    pub path: PathBuf,
    /// Bytes of all its files.
    pub bytes: u64,
    /// What its header says, or why it cannot be used.
    pub facts: Result<ModelFacts, String>,
    /// The projector that lies beside it, by which it sees pictures or hears sound.
    pub projector: Option<PathBuf>,
}

/// What a header says of its model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    pub architecture: String,
    pub parameters: u64,
    /// As models are labelled, such as `Q4_K_M`.
    pub quantisation: Option<String>,
    /// Tokens.
    pub trained_context: Option<u64>,
}

/// Who put a model where it is.
// A new store also needs a row in `Store::NAMES` and a place in `probes::models::places`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// The home's own `models/`.
    Home,
    /// A folder that the settings or the command name, or the user's `~/models`.
    Folder,
    HuggingFace,
    LlamaCpp,
    LmStudio,
    Ollama,
}

impl Store {
    /// Every store with its word.
    pub const NAMES: [(Self, &'static str); 6] = [
        (Self::Home, "home"),
        (Self::Folder, "folder"),
        (Self::HuggingFace, "huggingface"),
        (Self::LlamaCpp, "llama.cpp"),
        (Self::LmStudio, "lmstudio"),
        (Self::Ollama, "ollama"),
    ];
}

words!(Store);

/// What a GGUF file is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Model,
    /// Turns pictures or sound into what a model reads.
    Projector,
    /// An adapter, a vocabulary, a matrix for quantising: nothing that a server runs.
    Other,
}

impl Content {
    /// Tells by the header.
    #[must_use]
    pub fn of(header: &ModelHeader) -> Self {
        match (header.text("general.type"), header.architecture()) {
            (Some("mmproj"), _) | (_, Some("clip")) => Self::Projector,
            (Some("model") | None, Some(_)) if !header.tensors.is_empty() => Self::Model,
            (_, _) => Self::Other,
        }
    }
}

impl ModelFacts {
    /// Takes from a header what a person chooses by.
    #[must_use]
    pub fn of(header: &ModelHeader) -> Self {
        Self {
            architecture: header.architecture().unwrap_or_default().to_owned(),
            parameters: header.elements(),
            quantisation: quantisation(header),
            trained_context: header.trained_context().filter(|tokens| *tokens > 0),
        }
    }

    /// Returns the number of parameters as models are named by it: `7.6B`, `596M`.
    #[must_use]
    pub fn size_label(&self) -> String {
        let count = self.parameters as f64;
        match self.parameters {
            0..1_000_000 => format!("{:.0}K", count / 1e3),
            1_000_000..1_000_000_000 => format!("{:.0}M", count / 1e6),
            1_000_000_000..20_000_000_000 => format!("{:.1}B", count / 1e9),
            _ => format!("{:.0}B", count / 1e9),
        }
    }
}

impl ModelFile {
    /// Returns whether a person may mean this model by these words: every one of them is part of
    /// its name or of its group.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let whole = format!("{}/{}", self.group, self.name).to_lowercase();
        text.to_lowercase()
            .split_whitespace()
            .all(|word| whole.contains(word))
    }
}

/// llama.cpp's numbers of the mixtures of types that a whole file may have (`llama_ftype`).
const MIXTURES: [(u64, &str); 36] = [
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (7, "Q8_0"),
    (8, "Q5_0"),
    (9, "Q5_1"),
    (10, "Q2_K"),
    (11, "Q3_K_S"),
    (12, "Q3_K_M"),
    (13, "Q3_K_L"),
    (14, "Q4_K_S"),
    (15, "Q4_K_M"),
    (16, "Q5_K_S"),
    (17, "Q5_K_M"),
    (18, "Q6_K"),
    (19, "IQ2_XXS"),
    (20, "IQ2_XS"),
    (21, "Q2_K_S"),
    (22, "IQ3_XS"),
    (23, "IQ3_XXS"),
    (24, "IQ1_S"),
    (25, "IQ4_NL"),
    (26, "IQ3_S"),
    (27, "IQ3_M"),
    (28, "IQ2_S"),
    (29, "IQ2_M"),
    (30, "IQ4_XS"),
    (31, "IQ1_M"),
    (32, "BF16"),
    (36, "TQ1_0"),
    (37, "TQ2_0"),
    (38, "MXFP4"),
    (39, "NVFP4"),
    (40, "Q1_0"),
    (41, "Q2_0"),
];

/// Set beside the number when llama.cpp guessed it.
const GUESSED: u64 = 1024;

/// Returns the mixture that the header names; else the type that most of the weights have.
fn quantisation(header: &ModelHeader) -> Option<String> {
    let named = header
        .values
        .get("general.file_type")
        .and_then(super::gguf::Value::number)
        .map(|number| number & !GUESSED);
    let found = MIXTURES.iter().find(|(number, _)| Some(*number) == named);
    if let Some((_, word)) = found {
        return Some((*word).to_owned());
    }
    let largest = header.tensors.iter().max_by_key(|tensor| tensor.bytes)?;
    Some(largest.kind.name.to_uppercase())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::gguf::{Endian, F16, Tensor, Value};

    fn header(values: &[(&str, Value)], elements: u64) -> ModelHeader {
        let values = values.iter().cloned();
        ModelHeader {
            version: 3,
            endian: Endian::Little,
            values: values
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<BTreeMap<_, _>>(),
            tensors: vec![Tensor {
                name: "output.weight".to_owned(),
                shape: [elements, 1, 1, 1],
                kind: F16,
                bytes: elements * 2,
            }],
            file_size: 0,
            files: 1,
        }
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    #[test]
    fn what_a_file_is_good_for_is_in_its_header() {
        let rows = [
            (
                vec![("general.architecture", text("llama"))],
                Content::Model,
            ),
            (
                vec![
                    ("general.architecture", text("llama")),
                    ("general.type", text("adapter")),
                ],
                Content::Other,
            ),
            (
                vec![("general.architecture", text("clip"))],
                Content::Projector,
            ),
            (vec![], Content::Other),
        ];
        for (values, expected) in rows {
            assert_eq!(Content::of(&header(&values, 8)), expected, "{values:?}");
        }
        let mut empty = header(&[("general.architecture", text("llama"))], 8);
        empty.tensors.clear();
        assert_eq!(Content::of(&empty), Content::Other, "a vocabulary");
    }

    #[test]
    fn a_model_is_labelled_as_people_label_it() {
        let llama = ("general.architecture", text("llama"));
        let rows = [
            (Some(15), 7_615_616_512, "Q4_K_M", "7.6B"),
            (Some(7), 596_049_920, "Q8_0", "596M"),
            (Some(9999), 70_553_706_496, "F16", "71B"),
            (None, 4096, "F16", "4K"),
        ];
        for (number, elements, quantisation, label) in rows {
            let mut values = vec![llama.clone()];
            values.extend(number.map(|number| ("general.file_type", Value::Unsigned(number))));
            let facts = ModelFacts::of(&header(&values, elements));
            assert_eq!(facts.quantisation.as_deref(), Some(quantisation));
            assert_eq!(facts.size_label(), label);
        }
    }

    #[test]
    fn a_model_is_meant_by_any_words_of_its_name() {
        let model = ModelFile {
            name: "Qwen3-8B-Q4_K_M".to_owned(),
            group: "unsloth/Qwen3-8B-GGUF".to_owned(),
            store: Store::HuggingFace,
            path: PathBuf::new(),
            bytes: 0,
            facts: Err(String::new()),
            projector: None,
        };
        for (text, expected) in [
            ("qwen3-8b", true),
            ("unsloth q4", true),
            ("", true),
            ("qwen3 q8", false),
        ] {
            assert_eq!(model.matches(text), expected, "{text}");
        }
    }
}
