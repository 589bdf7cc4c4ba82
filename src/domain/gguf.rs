//! What the header of a model file says: its values and its tensors, without their contents.

use std::collections::BTreeMap;
use std::fmt;

/// The header of one model; of a split one, the values of its first file and all tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelHeader {
    /// Of the format: 2 or 3.
    pub version: u32,
    pub endian: Endian,
    pub values: BTreeMap<String, Value>,
    pub tensors: Vec<Tensor>,
    /// Of all files together.
    pub file_size: u64,
    /// How many files the model is split into.
    pub files: u32,
}

/// The order of the bytes in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    Little,
    Big,
}

/// One value; what is long is only counted.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    /// A short list of whole numbers or of yes and no, such as one per layer.
    Numbers(Vec<i64>),
    /// A text or list that was skipped: its bytes or elements.
    Skipped(u64),
}

/// One tensor: what it is called and how much room it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    /// The fastest dimension first; unused ones are 1.
    pub shape: [u64; 4],
    pub kind: TensorType,
    pub bytes: u64,
}

/// How the elements of a tensor are stored: `BLOCK` elements in so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorType {
    pub name: &'static str,
    /// ggml's number of the type.
    pub number: u32,
    /// Elements per block.
    pub block: u64,
    /// Bytes per block.
    pub size: u64,
}

/// Half precision, the usual type of a cache.
pub const F16: TensorType = tensor_type("f16", 1, 1, 2);

/// Every type that a file may hold today, as in ggml.h; numbers of removed types are left out.
const TYPES: [TensorType; 35] = [
    tensor_type("f32", 0, 1, 4),
    F16,
    tensor_type("q4_0", 2, 32, 18),
    tensor_type("q4_1", 3, 32, 20),
    tensor_type("q5_0", 6, 32, 22),
    tensor_type("q5_1", 7, 32, 24),
    tensor_type("q8_0", 8, 32, 34),
    tensor_type("q8_1", 9, 32, 36),
    tensor_type("q2_K", 10, 256, 84),
    tensor_type("q3_K", 11, 256, 110),
    tensor_type("q4_K", 12, 256, 144),
    tensor_type("q5_K", 13, 256, 176),
    tensor_type("q6_K", 14, 256, 210),
    tensor_type("q8_K", 15, 256, 292),
    tensor_type("iq2_xxs", 16, 256, 66),
    tensor_type("iq2_xs", 17, 256, 74),
    tensor_type("iq3_xxs", 18, 256, 98),
    tensor_type("iq1_s", 19, 256, 50),
    tensor_type("iq4_nl", 20, 32, 18),
    tensor_type("iq3_s", 21, 256, 110),
    tensor_type("iq2_s", 22, 256, 82),
    tensor_type("iq4_xs", 23, 256, 136),
    tensor_type("i8", 24, 1, 1),
    tensor_type("i16", 25, 1, 2),
    tensor_type("i32", 26, 1, 4),
    tensor_type("i64", 27, 1, 8),
    tensor_type("f64", 28, 1, 8),
    tensor_type("iq1_m", 29, 256, 56),
    tensor_type("bf16", 30, 1, 2),
    tensor_type("tq1_0", 34, 256, 54),
    tensor_type("tq2_0", 35, 256, 66),
    tensor_type("mxfp4", 39, 32, 17),
    tensor_type("nvfp4", 40, 64, 36),
    tensor_type("q1_0", 41, 128, 18),
    tensor_type("q2_0", 42, 64, 18),
];

const fn tensor_type(name: &'static str, number: u32, block: u64, size: u64) -> TensorType {
    TensorType {
        name,
        number,
        block,
        size,
    }
}

impl TensorType {
    /// Finds a type by ggml's number.
    #[must_use]
    pub fn numbered(number: u32) -> Option<Self> {
        TYPES.into_iter().find(|kind| kind.number == number)
    }

    /// Finds a type by the word that llama-server's flags use.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TYPES
            .into_iter()
            .find(|kind| kind.name.eq_ignore_ascii_case(name))
    }

    /// Returns the bytes of so many elements; a block that is not full counts whole. `None` when
    /// the number does not fit.
    #[must_use]
    pub fn bytes(self, elements: u64) -> Option<u64> {
        elements.div_ceil(self.block).checked_mul(self.size)
    }
}

impl ModelHeader {
    /// Returns what kind of model it is, such as `llama`.
    #[must_use]
    pub fn architecture(&self) -> Option<&str> {
        self.text("general.architecture")
    }

    /// Returns the model's own name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.text("general.name")
    }

    /// Returns the longest context that the model was trained for, in tokens.
    #[must_use]
    pub fn trained_context(&self) -> Option<u64> {
        self.number("context_length")
    }

    /// Returns a text by its whole key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a value by its key below the architecture's name.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        let architecture = self.architecture()?;
        self.values.get(&format!("{architecture}.{key}"))
    }

    /// Returns a whole number by its key below the architecture's name.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.value(key)?.number()
    }

    /// Returns a number that may be given once for all layers or once for each.
    #[must_use]
    pub fn per_layer(&self, key: &str, layer: usize) -> Option<u64> {
        match self.value(key)? {
            Value::Numbers(numbers) => u64::try_from(*numbers.get(layer)?).ok(),
            other => other.number(),
        }
    }

    /// Returns the largest of the numbers that the first layers have.
    #[must_use]
    pub fn largest_per_layer(&self, key: &str, layers: usize) -> Option<u64> {
        match self.value(key)? {
            Value::Numbers(numbers) => {
                let numbers = numbers.iter().take(layers);
                numbers
                    .filter_map(|number| u64::try_from(*number).ok())
                    .max()
            }
            other => other.number(),
        }
    }

    /// Returns the numbers in all tensors: the model's parameters.
    #[must_use]
    pub fn elements(&self) -> u64 {
        let count = |tensor: &Tensor| {
            let sizes = tensor.shape.iter();
            sizes.fold(1_u64, |product, size| product.saturating_mul(*size))
        };
        self.tensors
            .iter()
            .fold(0, |sum, tensor| sum.saturating_add(count(tensor)))
    }

    /// Returns the bytes of all tensors.
    #[must_use]
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors
            .iter()
            .fold(0, |sum, tensor| sum.saturating_add(tensor.bytes))
    }
}

impl Value {
    /// Returns the value as a whole number that is not negative.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(*number),
            Self::Signed(number) => u64::try_from(*number).ok(),
            Self::Bool(yes) => Some(u64::from(*yes)),
            Self::Float(_) | Self::Text(_) | Self::Numbers(_) | Self::Skipped(_) => None,
        }
    }
}

impl Tensor {
    /// Returns the layer it belongs to, from a name such as `blk.7.attn_q.weight`.
    #[must_use]
    pub fn layer(&self) -> Option<u64> {
        self.name
            .strip_prefix("blk.")?
            .split_once('.')?
            .0
            .parse()
            .ok()
    }
}

impl fmt::Display for Endian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Little => "little-endian",
            Self::Big => "big-endian",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_counted_in_whole_blocks() {
        let rows = [
            ("f32", 10, Some(40)),
            ("q4_0", 64, Some(36)),
            ("q4_0", 33, Some(36)),
            ("Q4_K", 256, Some(144)),
            ("q8_0", u64::MAX, None),
        ];
        for (name, elements, bytes) in rows {
            let kind = TensorType::named(name).expect("a type");
            assert_eq!(kind.bytes(elements), bytes, "{name}");
            assert_eq!(TensorType::numbered(kind.number), Some(kind));
        }
        assert_eq!(TensorType::numbered(4), None);
    }

    #[test]
    fn a_layer_is_read_from_a_tensors_name() {
        for (name, layer) in [
            ("blk.12.attn_q.weight", Some(12)),
            ("blk.x.attn_q.weight", None),
            ("token_embd.weight", None),
        ] {
            let tensor = Tensor {
                name: name.to_owned(),
                shape: [1; 4],
                kind: F16,
                bytes: 2,
            };
            assert_eq!(tensor.layer(), layer, "{name}");
        }
    }
}
