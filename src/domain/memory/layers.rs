//! What each layer of a model keeps per token and per sequence, as far as the header tells.

use crate::domain::gguf::{ModelHeader, Value};

/// A model with more layers than this is damaged; published ones have up to some hundred.
pub const LAYERS_LIMIT: u64 = 1024;

/// What one layer remembers of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerCache {
    /// Numbers per token in the cache of keys.
    pub keys: u64,
    /// Numbers per token in the cache of values; 0 where they are made from the keys (MLA).
    pub values: u64,
    /// Tokens that this layer looks back; `None` means all.
    pub window: Option<u64>,
    /// Numbers per sequence, however long it is: state-space and other recurrent layers.
    pub state: u64,
}

/// The layers of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    pub layers: Vec<LayerCache>,
    /// All layers of the file, those for predicting further tokens too.
    pub count: u64,
    pub doubts: Vec<String>,
}

/// Architectures that alternate windowed and full layers without the file saying which, with their
/// period, whether the period begins with a full layer, and the window where it may be missing.
const WINDOWED: [(&str, u64, First, Option<u64>); 18] = [
    ("gemma2", 2, First::Windowed, Some(4096)),
    ("gemma3", 6, First::Windowed, None),
    ("gemma3n", 5, First::Windowed, None),
    ("gemma4", 6, First::Windowed, None),
    ("gemma-embedding", 6, First::Windowed, None),
    ("cohere2", 4, First::Windowed, None),
    ("cohere2moe", 4, First::Full, None),
    ("exaone-moe", 4, First::Windowed, None),
    ("olmo2", 4, First::Windowed, None),
    ("gpt-oss", 2, First::Windowed, None),
    ("llama4", 4, First::Windowed, Some(8192)),
    ("afmoe", 4, First::Windowed, None),
    ("smallthinker", 4, First::Full, None),
    ("plamo3", 8, First::Windowed, None),
    ("mellum", 4, First::Windowed, None),
    ("muse-glimmer", 4, First::Windowed, None),
    ("modern-bert", 3, First::Full, None),
    ("laguna", 4, First::Full, None),
];

/// Architectures that look at a whole text at once and keep nothing of it.
const WITHOUT_CACHE: [&str; 14] = [
    "bert",
    "modern-bert",
    "nomic-bert",
    "nomic-bert-moe",
    "neo-bert",
    "jina-bert-v2",
    "jina-bert-v3",
    "eurobert",
    "gemma-embedding",
    "wavtokenizer-dec",
    "dream",
    "llada",
    "llada-moe",
    "rnd1",
];

/// Architectures whose every layer is recurrent.
const RECURRENT: [&str; 6] = ["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"];

/// Architectures of which every fourth layer, or what the file says instead, is a full one.
const INTERVAL: [&str; 5] = ["qwen3next", "qwen35", "qwen35moe", "qwen4exp", "minimax-01"];

/// Architectures with a window in their file that llama.cpp does not use.
const WINDOW_UNUSED: [&str; 1] = ["phi3"];

/// Architectures that keep more than the header's numbers tell.
const INDEXED: [&str; 8] = [
    "deepseek32",
    "deepseek4",
    "glm-dsa",
    "glm5-next",
    "minimax-m3",
    "dots3note",
    "hy_v4",
    "qwen4exp",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Windowed,
    Full,
}

/// Reads the layers of a model; `None` when the header lacks what every model has.
#[must_use]
pub fn layers(model: &ModelHeader) -> Option<Layers> {
    let architecture = model.architecture()?;
    let count = model
        .number("block_count")
        .filter(|count| *count <= LAYERS_LIMIT)?;
    let embedding = model.number("embedding_length")?;
    let predicted = model.number("nextn_predict_layers").unwrap_or(0);
    let used = count.saturating_sub(predicted);
    let mut doubts = Vec::new();
    if INDEXED.contains(&architecture) {
        doubts.push(format!(
            "{architecture} keeps an index beside its cache, which is not counted"
        ));
    }
    let window = window(model, architecture, &mut doubts);
    let layers = (0..count)
        .map(|layer| {
            if layer >= used || WITHOUT_CACHE.contains(&architecture) {
                return LayerCache::default();
            }
            let windowed = window.as_ref().filter(|window| window.holds(layer));
            layer_cache(
                model,
                architecture,
                embedding,
                layer,
                windowed.map(|window| window.size),
            )
        })
        .collect();
    Some(Layers {
        layers,
        count,
        doubts,
    })
}

fn layer_cache(
    model: &ModelHeader,
    architecture: &str,
    embedding: u64,
    layer: u64,
    window: Option<u64>,
) -> LayerCache {
    let index = usize::try_from(layer).unwrap_or(usize::MAX);
    let recurrent = is_recurrent(model, architecture, index);
    let state = if recurrent || architecture == "falcon-h1" {
        state(model, embedding, index)
    } else {
        0
    };
    let shared = shares_cache(model, architecture, layer);
    if recurrent || shared {
        return LayerCache {
            state,
            ..LayerCache::default()
        };
    }
    let heads = model.per_layer("attention.head_count", index).unwrap_or(0);
    let kv_heads = model
        .per_layer("attention.head_count_kv", index)
        .unwrap_or(heads);
    let usual = embedding.checked_div(heads).unwrap_or(0);
    let length = |name: &str| {
        let of_window = window
            .is_some()
            .then(|| model.number(&format!("attention.{name}_length_swa")))
            .flatten();
        of_window.or_else(|| model.number(&format!("attention.{name}_length")))
    };
    let is_mla = model.number("attention.key_length_mla").is_some();
    LayerCache {
        keys: length("key").unwrap_or(usual).saturating_mul(kv_heads),
        values: if is_mla {
            0
        } else {
            length("value").unwrap_or(usual).saturating_mul(kv_heads)
        },
        window,
        state,
    }
}

fn is_recurrent(model: &ModelHeader, architecture: &str, layer: usize) -> bool {
    if RECURRENT.contains(&architecture) {
        return true;
    }
    if let Some(recurrent) = model.per_layer("attention.recurrent_layers", layer) {
        return recurrent != 0;
    }
    if INTERVAL.contains(&architecture) {
        let interval = model.number("full_attention_interval").unwrap_or(4).max(1);
        return !(layer as u64 + 1).is_multiple_of(interval);
    }
    let has_state = ["ssm.state_size", "shortconv.l_cache", "kda.head_dim"]
        .iter()
        .any(|key| model.number(key).is_some());
    let is_feed_forward = architecture.starts_with("nemotron_h")
        && model.per_layer("feed_forward_length", layer).unwrap_or(0) > 0;
    has_state
        && !is_feed_forward
        && architecture != "falcon-h1"
        && model.per_layer("attention.head_count_kv", layer) == Some(0)
}

/// Returns the numbers that a recurrent layer keeps of a sequence.
fn state(model: &ModelHeader, embedding: u64, layer: usize) -> u64 {
    let number = |key: &str| model.number(key).unwrap_or(0);
    let heads = model.per_layer("attention.head_count", layer).unwrap_or(0);
    let product = |factors: &[u64]| {
        factors
            .iter()
            .fold(1_u64, |all, one| all.saturating_mul(*one))
    };
    let wkv = number("wkv.head_size");
    if wkv != 0 {
        let shifts = model.number("token_shift_count").unwrap_or(2);
        return product(&[shifts.saturating_add(wkv), embedding]);
    }
    let short = number("shortconv.l_cache");
    if short != 0 {
        return product(&[embedding, short - 1]);
    }
    let kernel = number("ssm.conv_kernel").saturating_sub(1);
    let kda = number("kda.head_dim");
    if kda != 0 {
        let kernel = if kernel == 0 { 3 } else { kernel };
        let convolution = product(&[3, kernel, heads, kda]);
        return convolution.saturating_add(product(&[kda, kda, heads]));
    }
    let (inner, size) = (number("ssm.inner_size"), number("ssm.state_size"));
    let groups = product(&[2, number("ssm.group_count"), size]);
    product(&[kernel, inner.saturating_add(groups)]).saturating_add(product(&[size, inner]))
}

/// Returns whether a layer looks into the cache of an earlier one.
fn shares_cache(model: &ModelHeader, architecture: &str, layer: u64) -> bool {
    match architecture {
        "gemma3n" => layer >= 20,
        "gemma4" => {
            let count = model.number("block_count").unwrap_or(0);
            let shared = model.number("attention.shared_kv_layers").unwrap_or(0);
            layer >= count.saturating_sub(shared)
        }
        _ => false,
    }
}

/// Which layers look back only so far.
struct Window<'a> {
    size: u64,
    pattern: Pattern<'a>,
}

enum Pattern<'a> {
    Listed(&'a ModelHeader),
    Every { period: u64, first: First },
}

impl Window<'_> {
    fn holds(&self, layer: u64) -> bool {
        match self.pattern {
            Pattern::Listed(model) => {
                let index = usize::try_from(layer).unwrap_or(usize::MAX);
                model.per_layer(PATTERN, index).unwrap_or(0) != 0
            }
            Pattern::Every { period: 0, .. } => true,
            Pattern::Every {
                period,
                first: First::Full,
            } => !layer.is_multiple_of(period),
            Pattern::Every {
                period,
                first: First::Windowed,
            } => layer % period < period - 1,
        }
    }
}

const PATTERN: &str = "attention.sliding_window_pattern";

fn window<'a>(
    model: &'a ModelHeader,
    architecture: &str,
    doubts: &mut Vec<String>,
) -> Option<Window<'a>> {
    if WINDOW_UNUSED.contains(&architecture) {
        return None;
    }
    let known = WINDOWED.iter().find(|(name, ..)| *name == architecture);
    let told = model.number("attention.sliding_window");
    let size = match (architecture, told) {
        // These two take their own, whatever the file says, unless it says none.
        ("llama4", Some(0)) => None,
        ("llama4", _) => Some(8192),
        ("smallthinker", Some(1..)) => Some(4096),
        (_, told) => told.or_else(|| known.and_then(|(_, _, _, usual)| *usual)),
    };
    let size = size.filter(|size| *size > 0)?;
    if matches!(model.value(PATTERN), Some(Value::Numbers(_))) {
        return Some(Window {
            size,
            pattern: Pattern::Listed(model),
        });
    }
    let Some((_, period, first, _)) = known else {
        // exaone4 has windows only in its largest size.
        let is_large = architecture == "exaone4" && model.number("block_count") == Some(64);
        if is_large {
            return Some(Window {
                size,
                pattern: Pattern::Every {
                    period: 4,
                    first: First::Windowed,
                },
            });
        }
        doubts.push(format!(
            "which layers of {architecture} look back only {size} tokens is not known; all are \
             counted whole"
        ));
        return None;
    };
    Some(Window {
        size,
        pattern: Pattern::Every {
            period: model.number(PATTERN).unwrap_or(*period),
            first: *first,
        },
    })
}
