//! The format, as in ggml's docs/gguf.md: magic, version, counts, values, tensors.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::error::HeaderError;
use crate::domain::gguf::{Endian, ModelHeader, Tensor, TensorType, Value};

/// A header is mostly its vocabulary, some ten megabytes of it; this is far above any real one.
const HEADER_LIMIT: u64 = 128 << 20;

/// Real models have some dozen values.
const VALUES_LIMIT: u64 = 1 << 16;

/// Real models have some thousand tensors.
const TENSORS_LIMIT: u64 = 1 << 17;

/// llama.cpp takes names of tensors of up to 63 bytes.
const NAME_LIMIT: u64 = 255;

/// The format's own limit.
const KEY_LIMIT: u64 = u16::MAX as u64;

/// Longer texts (chat templates, licences) tell nothing about memory.
const TEXT_LIMIT: u64 = 1 << 10;

/// Lists with an element per layer are shorter; vocabularies are longer.
const NUMBERS_LIMIT: u64 = 1 << 12;

/// Everything that is kept of the values: no real header comes near.
const KEPT_LIMIT: u64 = 16 << 20;

/// Where nothing is said about it, tensors begin at multiples of this.
const ALIGNMENT: u64 = 32;

/// A larger alignment has never been written.
const ALIGNMENT_LIMIT: u64 = 1 << 20;

/// The kinds of values by their number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    List,
    U64,
    I64,
    F64,
}

/// Reads numbers and texts, and knows where it is.
struct Source<R> {
    inner: BufReader<R>,
    size: u64,
    at: u64,
    endian: Endian,
    kept: u64,
}

pub(super) fn header<R: Read + Seek>(mut inner: R) -> Result<ModelHeader, HeaderError> {
    let size = inner.seek(SeekFrom::End(0))?;
    inner.seek(SeekFrom::Start(0))?;
    let mut source = Source {
        inner: BufReader::new(inner),
        size,
        at: 0,
        endian: Endian::Little,
        kept: 0,
    };
    let version = source.begin()?;
    let tensor_count = source.count("tensors", TENSORS_LIMIT)?;
    let value_count = source.count("values", VALUES_LIMIT)?;
    let mut values = BTreeMap::new();
    for _ in 0..value_count {
        let (key, value) = source.pair()?;
        values.insert(key, value);
    }
    let alignment = alignment(&values)?;
    let mut tensors = Vec::new();
    let mut data_size = 0_u64;
    for _ in 0..tensor_count {
        let (tensor, end) = source.tensor()?;
        data_size = data_size.max(end);
        tensors.push(tensor);
    }
    if !tensors.is_empty() {
        let expected = source
            .at
            .checked_next_multiple_of(alignment)
            .and_then(|start| start.checked_add(data_size))
            .ok_or_else(|| source.damaged("its size does not fit into a number"))?;
        if expected > size {
            return Err(HeaderError::Truncated { expected, size });
        }
    }
    Ok(ModelHeader {
        version,
        endian: source.endian,
        values,
        tensors,
        file_size: size,
        files: 1,
    })
}

fn alignment(values: &BTreeMap<String, Value>) -> Result<u64, HeaderError> {
    let Some(value) = values.get("general.alignment") else {
        return Ok(ALIGNMENT);
    };
    match value.number() {
        Some(number) if number.is_power_of_two() && number <= ALIGNMENT_LIMIT => Ok(number),
        Some(_) | None => Err(HeaderError::Excessive {
            what: "its alignment is no power of two that is in use".to_owned(),
            limit: ALIGNMENT_LIMIT,
        }),
    }
}

impl<R: Read + Seek> Source<R> {
    /// Reads magic and version; the version's bytes also tell in which order they are.
    fn begin(&mut self) -> Result<u32, HeaderError> {
        if self.size == 0 {
            return Err(HeaderError::Empty);
        }
        let mut magic = [0; 4];
        let there = usize::try_from(self.size).unwrap_or(4).min(4);
        self.fill(&mut magic[..there])?;
        if !b"GGUF".starts_with(&magic[..there]) {
            return Err(HeaderError::Magic {
                found: magic[..there].escape_ascii().to_string(),
            });
        }
        let version = self.u32()?;
        // A small number whose bytes are swapped has its low half empty.
        let version = if version.trailing_zeros() >= 16 && version != 0 {
            self.endian = Endian::Big;
            version.swap_bytes()
        } else {
            version
        };
        match version {
            2 | 3 => Ok(version),
            other => Err(HeaderError::Version { version: other }),
        }
    }

    fn count(&mut self, what: &str, limit: u64) -> Result<u64, HeaderError> {
        let count = self.u64()?;
        if count > limit {
            return Err(HeaderError::Excessive {
                what: format!("it claims to have {count} {what}"),
                limit,
            });
        }
        Ok(count)
    }

    fn pair(&mut self) -> Result<(String, Value), HeaderError> {
        let key = self.text(KEY_LIMIT, "the name of a value")?;
        let kind = self.kind()?;
        let value = match kind {
            Kind::List => self.list()?,
            Kind::Text => {
                let length = self.u64()?;
                if length > TEXT_LIMIT {
                    self.skip(length)?;
                    Value::Skipped(length)
                } else {
                    Value::Text(self.characters(length)?)
                }
            }
            scalar => self.scalar(scalar)?,
        };
        Ok((key, value))
    }

    fn list(&mut self) -> Result<Value, HeaderError> {
        let kind = self.kind()?;
        let length = self.u64()?;
        let Some(width) = width(kind) else {
            if kind == Kind::List {
                return Err(self.damaged("a list of lists"));
            }
            // Each text takes eight bytes or more, so that their number is checked by the way.
            for _ in 0..length {
                let bytes = self.u64()?;
                self.skip(bytes)?;
            }
            return Ok(Value::Skipped(length));
        };
        let is_float = matches!(kind, Kind::F32 | Kind::F64);
        if is_float || length > NUMBERS_LIMIT {
            let bytes = length
                .checked_mul(width)
                .ok_or_else(|| self.damaged("a list longer than any file"))?;
            self.skip(bytes)?;
            return Ok(Value::Skipped(length));
        }
        self.keep(length * 8)?;
        let mut numbers = Vec::new();
        for _ in 0..length {
            let number = match self.scalar(kind)? {
                // Larger ones mean nothing to us.
                Value::Unsigned(number) => i64::try_from(number).unwrap_or(i64::MAX),
                Value::Signed(number) => number,
                Value::Bool(yes) => i64::from(yes),
                Value::Float(_) | Value::Text(_) | Value::Numbers(_) | Value::Skipped(_) => 0,
            };
            numbers.push(number);
        }
        Ok(Value::Numbers(numbers))
    }

    fn scalar(&mut self, kind: Kind) -> Result<Value, HeaderError> {
        Ok(match kind {
            Kind::U8 => Value::Unsigned(u64::from(self.bytes::<1>()?[0])),
            Kind::I8 => Value::Signed(i64::from(self.bytes::<1>()?[0].cast_signed())),
            Kind::Bool => Value::Bool(self.bytes::<1>()?[0] != 0),
            Kind::U16 => Value::Unsigned(u64::from(u16::from_le_bytes(self.bytes()?))),
            Kind::I16 => Value::Signed(i64::from(i16::from_le_bytes(self.bytes()?))),
            Kind::U32 => Value::Unsigned(u64::from(self.u32()?)),
            Kind::I32 => Value::Signed(i64::from(i32::from_le_bytes(self.bytes()?))),
            Kind::U64 => Value::Unsigned(self.u64()?),
            Kind::I64 => Value::Signed(i64::from_le_bytes(self.bytes()?)),
            Kind::F32 => Value::Float(f64::from(f32::from_le_bytes(self.bytes()?))),
            Kind::F64 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            Kind::Text | Kind::List => return Err(self.damaged("a value where a number belongs")),
        })
    }

    /// Reads one tensor, and where its data ends after the beginning of all data.
    fn tensor(&mut self) -> Result<(Tensor, u64), HeaderError> {
        let name = self.text(NAME_LIMIT, "the name of a tensor")?;
        let dimensions = self.u32()?;
        let mut shape = [1; 4];
        let Some(used) = usize::try_from(dimensions)
            .ok()
            .and_then(|dimensions| shape.get_mut(..dimensions))
        else {
            return Err(self.damaged(&format!("a tensor with {dimensions} dimensions")));
        };
        for size in used {
            *size = self.u64()?;
        }
        let number = self.u32()?;
        let offset = self.u64()?;
        let kind = TensorType::numbered(number).ok_or_else(|| {
            self.damaged(&format!(
                "a tensor of type {number}, which llama.cpp does not know"
            ))
        })?;
        let too_large = || self.damaged("a tensor larger than any file");
        let rows = shape[1..]
            .iter()
            .try_fold(1_u64, |rows, size| rows.checked_mul(*size));
        let bytes = kind
            .bytes(shape[0])
            .zip(rows)
            .and_then(|(row, rows)| row.checked_mul(rows))
            .ok_or_else(too_large)?;
        let end = offset.checked_add(bytes).ok_or_else(too_large)?;
        let tensor = Tensor {
            name,
            shape,
            kind,
            bytes,
        };
        Ok((tensor, end))
    }

    fn kind(&mut self) -> Result<Kind, HeaderError> {
        Ok(match self.u32()? {
            0 => Kind::U8,
            1 => Kind::I8,
            2 => Kind::U16,
            3 => Kind::I16,
            4 => Kind::U32,
            5 => Kind::I32,
            6 => Kind::F32,
            7 => Kind::Bool,
            8 => Kind::Text,
            9 => Kind::List,
            10 => Kind::U64,
            11 => Kind::I64,
            12 => Kind::F64,
            other => return Err(self.damaged(&format!("a value of the unknown type {other}"))),
        })
    }

    fn text(&mut self, limit: u64, what: &str) -> Result<String, HeaderError> {
        let length = self.u64()?;
        if length > limit {
            return Err(HeaderError::Excessive {
                what: format!("{what} has {length} bytes"),
                limit,
            });
        }
        self.characters(length)
    }

    /// Reads a text whose length was found small enough.
    fn characters(&mut self, length: u64) -> Result<String, HeaderError> {
        self.keep(length)?;
        self.check(length)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.fill(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Counts what stays in memory.
    fn keep(&mut self, bytes: u64) -> Result<(), HeaderError> {
        self.kept = self.kept.saturating_add(bytes);
        if self.kept > KEPT_LIMIT {
            return Err(HeaderError::Excessive {
                what: "its names and texts are too long together".to_owned(),
                limit: KEPT_LIMIT,
            });
        }
        Ok(())
    }

    fn skip(&mut self, bytes: u64) -> Result<(), HeaderError> {
        self.check(bytes)?;
        let distance = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.inner.seek_relative(distance)?;
        self.at += bytes;
        Ok(())
    }

    /// Makes sure that the file and the limit have room for so many bytes from here.
    fn check(&self, bytes: u64) -> Result<(), HeaderError> {
        if bytes > self.size.saturating_sub(self.at) {
            return Err(HeaderError::HeaderCut {
                at: self.at,
                wanted: bytes,
                size: self.size,
            });
        }
        if self.at.saturating_add(bytes) > HEADER_LIMIT {
            return Err(HeaderError::Excessive {
                what: "its header goes on and on".to_owned(),
                limit: HEADER_LIMIT,
            });
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), HeaderError> {
        let length = bytes.len() as u64;
        self.check(length)?;
        self.inner.read_exact(bytes)?;
        self.at += length;
        Ok(())
    }

    /// Reads the bytes of a number, least significant first whatever their order in the file.
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        if self.endian == Endian::Big {
            bytes.reverse();
        }
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, HeaderError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, HeaderError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn damaged(&self, what: &str) -> HeaderError {
        HeaderError::Damaged {
            what: what.to_owned(),
            at: self.at,
        }
    }
}

/// Returns the bytes of a number of this kind; `None` for what has no fixed length.
fn width(kind: Kind) -> Option<u64> {
    match kind {
        Kind::U8 | Kind::I8 | Kind::Bool => Some(1),
        Kind::U16 | Kind::I16 => Some(2),
        Kind::U32 | Kind::I32 | Kind::F32 => Some(4),
        Kind::U64 | Kind::I64 | Kind::F64 => Some(8),
        Kind::Text | Kind::List => None,
    }
}
