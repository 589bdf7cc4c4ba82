//! Models in GGUF that a real llama-server loads: a tiny one of random weights that answers noise,
//! and ones of any shape whose weights are a hole in the file. The format is that of ggml's
//! docs/gguf.md, version 3.

use std::fs;
use std::io::Write as _;
use std::path::Path;

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

/// What a model looks like; the default is the tiny one.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// llama, or gemma3 with its extra norms.
    pub(crate) architecture: &'static str,
    pub(crate) layers: u32,
    pub(crate) embedding: u32,
    pub(crate) heads: u32,
    pub(crate) kv_heads: u32,
    pub(crate) feed_forward: u32,
    pub(crate) context: u32,
    /// Number of experts, and how many of them work at once; 0 for a dense model.
    pub(crate) experts: (u32, u32),
    /// Tokens that most layers look back; 0 means all.
    pub(crate) window: u32,
    /// 16 bits per weight instead of 32.
    pub(crate) half: bool,
    /// The output is the input once more.
    pub(crate) tied: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            architecture: "llama",
            layers: 2,
            embedding: 64,
            heads: 4,
            kv_heads: 4,
            feed_forward: 256,
            context: 2048,
            experts: (0, 0),
            window: 0,
            half: false,
            tied: false,
        }
    }
}

struct Tensor {
    name: String,
    /// The fastest dimension first, as ggml lists them.
    shape: Vec<u32>,
    /// ggml's number of the type: 0 is F32, 1 is F16.
    kind: u32,
}

impl Tensor {
    fn is_vector(&self) -> bool {
        self.shape.len() == 1
    }

    fn elements(&self) -> usize {
        self.shape.iter().map(|size| *size as usize).product()
    }

    fn bytes(&self) -> usize {
        self.elements() * if self.kind == 1 { 2 } else { 4 }
    }
}

/// Writes the tiny model, with random weights.
pub(crate) fn write_tiny(path: &Path) {
    let shape = Shape::default();
    let mut file = header(&shape);
    let mut random = fastrand::Rng::with_seed(7);
    for tensor in tensors(&shape) {
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        for _ in 0..tensor.elements() {
            let weight = if tensor.is_vector() {
                1.0
            } else {
                (random.f32() - 0.5) * 0.1
            };
            file.extend(weight.to_le_bytes());
        }
    }
    fs::write(path, file).unwrap();
}

/// Writes a model whose weights are all zero and take no room on the disk.
pub(crate) fn write_hollow(path: &Path, shape: &Shape) {
    let header = header(shape);
    let weights: usize = tensors(shape)
        .iter()
        .map(|tensor| tensor.bytes().next_multiple_of(ALIGNMENT))
        .sum();
    let size = header.len().next_multiple_of(ALIGNMENT) + weights;
    let mut file = fs::File::create(path).unwrap();
    file.write_all(&header).unwrap();
    file.set_len(size as u64).unwrap();
}

/// Everything before the weights.
fn header(shape: &Shape) -> Vec<u8> {
    let (tokens, scores, types) = vocabulary();
    let mut values = Values {
        count: 0,
        bytes: Vec::new(),
    };
    let architecture = shape.architecture;
    let key = |name: &str| format!("{architecture}.{name}");
    values.string("general.architecture", architecture);
    values.string("general.name", "tiny-random");
    values.number(&key("context_length"), shape.context);
    values.number(&key("embedding_length"), shape.embedding);
    values.number(&key("block_count"), shape.layers);
    values.number(&key("feed_forward_length"), shape.feed_forward);
    values.number(&key("attention.head_count"), shape.heads);
    values.number(&key("attention.head_count_kv"), shape.kv_heads);
    let head = shape.embedding / shape.heads;
    values.number(&key("attention.key_length"), head);
    values.number(&key("attention.value_length"), head);
    if shape.window > 0 {
        values.number(&key("attention.sliding_window"), shape.window);
    }
    if shape.experts.0 > 0 {
        values.number(&key("expert_count"), shape.experts.0);
        values.number(&key("expert_used_count"), shape.experts.1);
    }
    values.float(&key("attention.layer_norm_rms_epsilon"), 1e-5);
    values.number(&key("rope.dimension_count"), head);
    values.number(&key("vocab_size"), u32::try_from(tokens.len()).unwrap());
    values.number("general.file_type", u32::from(shape.half));
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

    let tensors = tensors(shape);
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend(values.count.to_le_bytes());
    file.extend(values.bytes);
    let mut offset = 0_usize;
    for tensor in &tensors {
        put_string(&mut file, tensor.name.as_bytes());
        file.extend(u32::try_from(tensor.shape.len()).unwrap().to_le_bytes());
        tensor
            .shape
            .iter()
            .for_each(|size| file.extend(u64::from(*size).to_le_bytes()));
        file.extend(tensor.kind.to_le_bytes());
        file.extend((offset as u64).to_le_bytes());
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
    file
}

fn tensors(shape: &Shape) -> Vec<Tensor> {
    let vocabulary = u32::try_from(vocabulary().0.len()).unwrap();
    let (width, inner) = (shape.embedding, shape.feed_forward);
    let head = width / shape.heads;
    let kv = head * shape.kv_heads;
    let weights = |name: String, shape_of: &[u32]| Tensor {
        name: format!("{name}.weight"),
        shape: shape_of.to_vec(),
        // Norms and routers stay wide in every model.
        kind: u32::from(shape.half && shape_of.len() > 1 && !name.ends_with("gate_inp")),
    };
    let mut tensors = vec![
        weights("token_embd".to_owned(), &[width, vocabulary]),
        weights("output_norm".to_owned(), &[width]),
    ];
    if !shape.tied {
        tensors.push(weights("output".to_owned(), &[width, vocabulary]));
    }
    for layer in 0..shape.layers {
        let mut put = |part: &str, shape_of: &[u32]| {
            tensors.push(weights(format!("blk.{layer}.{part}"), shape_of));
        };
        put("attn_norm", &[width]);
        put("attn_q", &[width, width]);
        put("attn_k", &[width, kv]);
        put("attn_v", &[width, kv]);
        put("attn_output", &[width, width]);
        put("ffn_norm", &[width]);
        if shape.architecture == "gemma3" {
            put("attn_q_norm", &[head]);
            put("attn_k_norm", &[head]);
            put("post_attention_norm", &[width]);
            put("post_ffw_norm", &[width]);
        }
        let (experts, _) = shape.experts;
        if experts > 0 {
            put("ffn_gate_inp", &[width, experts]);
            put("ffn_gate_exps", &[width, inner, experts]);
            put("ffn_up_exps", &[width, inner, experts]);
            put("ffn_down_exps", &[inner, width, experts]);
        } else {
            put("ffn_gate", &[width, inner]);
            put("ffn_up", &[width, inner]);
            put("ffn_down", &[inner, width]);
        }
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
