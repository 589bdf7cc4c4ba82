//! A tiny random-weight llama model in GGUF, enough for a real llama-server to load and answer
//! noise. The format is that of ggml's docs/gguf.md, version 3.

use std::fs;
use std::path::Path;

const HEADS: u32 = 4;
const EMBEDDING: u32 = 64;
const LAYERS: u32 = 2;
const FEED_FORWARD: u32 = 256;
const CONTEXT: u32 = 2048;

/// Tensor data begins and is padded at multiples of this.
const ALIGNMENT: usize = 32;

/// GGUF's numbers of the value types used here.
#[derive(Clone, Copy)]
enum Kind {
    U32 = 4,
    I32 = 5,
    F32 = 6,
    String = 8,
    Array = 9,
}

struct Tensor {
    name: String,
    /// Rows, columns; a vector has one row.
    shape: (u32, u32),
    ones: bool,
}

/// Writes the model.
pub(crate) fn write_tiny(path: &Path) {
    let (tokens, scores, types) = vocabulary();
    let mut values = Values {
        count: 0,
        bytes: Vec::new(),
    };
    values.string("general.architecture", "llama");
    values.string("general.name", "tiny-random");
    values.number("llama.context_length", CONTEXT);
    values.number("llama.embedding_length", EMBEDDING);
    values.number("llama.block_count", LAYERS);
    values.number("llama.feed_forward_length", FEED_FORWARD);
    values.number("llama.attention.head_count", HEADS);
    values.number("llama.attention.head_count_kv", HEADS);
    values.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
    values.number("llama.rope.dimension_count", EMBEDDING / HEADS);
    values.number("llama.vocab_size", u32::try_from(tokens.len()).unwrap());
    values.number("general.file_type", 0);
    values.string("tokenizer.ggml.model", "llama");
    values.array(
        "tokenizer.ggml.tokens",
        Kind::String,
        tokens.len(),
        |bytes| {
            tokens.iter().for_each(|token| put_string(bytes, token));
        },
    );
    values.array("tokenizer.ggml.scores", Kind::F32, scores.len(), |bytes| {
        scores
            .iter()
            .for_each(|score| bytes.extend(score.to_le_bytes()));
    });
    values.array(
        "tokenizer.ggml.token_type",
        Kind::I32,
        types.len(),
        |bytes| {
            types
                .iter()
                .for_each(|kind| bytes.extend(kind.to_le_bytes()));
        },
    );
    values.number("tokenizer.ggml.bos_token_id", 1);
    values.number("tokenizer.ggml.eos_token_id", 2);
    values.number("tokenizer.ggml.unknown_token_id", 0);

    let tensors = tensors(u32::try_from(tokens.len()).unwrap());
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend(values.count.to_le_bytes());
    file.extend(values.bytes);
    let mut offset = 0_usize;
    for tensor in &tensors {
        put_string(&mut file, tensor.name.as_bytes());
        let (rows, columns) = tensor.shape;
        // ggml lists the fastest dimension first.
        let shape: &[u32] = if rows == 1 {
            &[columns]
        } else {
            &[columns, rows]
        };
        file.extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
        shape
            .iter()
            .for_each(|size| file.extend(u64::from(*size).to_le_bytes()));
        file.extend(0_u32.to_le_bytes()); // F32
        file.extend((offset as u64).to_le_bytes());
        offset += (rows * columns) as usize * 4;
        offset = offset.next_multiple_of(ALIGNMENT);
    }
    let mut random = fastrand::Rng::with_seed(7);
    for tensor in &tensors {
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        for _ in 0..tensor.shape.0 * tensor.shape.1 {
            let weight = if tensor.ones {
                1.0
            } else {
                (random.f32() - 0.5) * 0.1
            };
            file.extend(weight.to_le_bytes());
        }
    }
    fs::write(path, file).unwrap();
}

fn tensors(vocabulary: u32) -> Vec<Tensor> {
    let matrix = |name: String, rows, columns| Tensor {
        name,
        shape: (rows, columns),
        ones: false,
    };
    let ones = |name: String| Tensor {
        name,
        shape: (1, EMBEDDING),
        ones: true,
    };
    let mut tensors = vec![
        matrix("token_embd.weight".to_owned(), vocabulary, EMBEDDING),
        ones("output_norm.weight".to_owned()),
        matrix("output.weight".to_owned(), vocabulary, EMBEDDING),
    ];
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        tensors.push(ones(name("attn_norm")));
        for part in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            tensors.push(matrix(name(part), EMBEDDING, EMBEDDING));
        }
        tensors.push(ones(name("ffn_norm")));
        tensors.push(matrix(name("ffn_gate"), FEED_FORWARD, EMBEDDING));
        tensors.push(matrix(name("ffn_up"), FEED_FORWARD, EMBEDDING));
        tensors.push(matrix(name("ffn_down"), EMBEDDING, FEED_FORWARD));
    }
    tensors
}

/// Three control tokens, all bytes, and some words. Types: 1 normal, 2 unknown, 3 control, 6 byte.
fn vocabulary() -> (Vec<Vec<u8>>, Vec<f32>, Vec<i32>) {
    let mut tokens: Vec<(Vec<u8>, f32, i32)> = vec![
        (b"<unk>".to_vec(), 0.0, 2),
        (b"<s>".to_vec(), 0.0, 3),
        (b"</s>".to_vec(), 0.0, 3),
    ];
    tokens.extend((0..256).map(|byte| (format!("<0x{byte:02X}>").into_bytes(), -1000.0, 6)));
    let letters = (b'a'..=b'z').map(|letter| char::from(letter).to_string());
    let words = ["\u{2581}", "\u{2581}the", "\u{2581}a", "ing", "er", "."];
    let words = words.into_iter().map(str::to_owned).chain(letters);
    tokens.extend(
        (0_u8..)
            .zip(words)
            .map(|(rank, word)| (word.into_bytes(), -f32::from(rank), 1)),
    );
    let texts = tokens.iter().map(|token| token.0.clone()).collect();
    let scores = tokens.iter().map(|token| token.1).collect();
    (texts, scores, tokens.iter().map(|token| token.2).collect())
}

/// Key-value pairs, as they are written.
struct Values {
    count: u64,
    bytes: Vec<u8>,
}

impl Values {
    fn key(&mut self, key: &str, kind: Kind) {
        self.count += 1;
        put_string(&mut self.bytes, key.as_bytes());
        self.bytes.extend((kind as u32).to_le_bytes());
    }

    fn string(&mut self, key: &str, value: &str) {
        self.key(key, Kind::String);
        put_string(&mut self.bytes, value.as_bytes());
    }

    fn number(&mut self, key: &str, value: u32) {
        self.key(key, Kind::U32);
        self.bytes.extend(value.to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f32) {
        self.key(key, Kind::F32);
        self.bytes.extend(value.to_le_bytes());
    }

    fn array(&mut self, key: &str, kind: Kind, length: usize, put: impl FnOnce(&mut Vec<u8>)) {
        self.key(key, Kind::Array);
        self.bytes.extend((kind as u32).to_le_bytes());
        self.bytes.extend((length as u64).to_le_bytes());
        put(&mut self.bytes);
    }
}

fn put_string(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text);
}
