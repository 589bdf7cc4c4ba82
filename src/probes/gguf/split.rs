//! Models in several files: `name-00001-of-00003.gguf` and its siblings.

use std::path::{Path, PathBuf};

use super::error::HeaderError;
use crate::domain::gguf::{ModelHeader, Value};

/// More files than any published model has.
const PARTS_LIMIT: u64 = 1024;

/// Returns the files after the first, none for a model in one file.
pub(super) fn parts(path: &Path, first: &ModelHeader) -> Result<Vec<PathBuf>, HeaderError> {
    let count = first
        .values
        .get("split.count")
        .and_then(Value::number)
        .unwrap_or(0);
    if count <= 1 {
        return Ok(Vec::new());
    }
    if count > PARTS_LIMIT {
        return Err(HeaderError::Excessive {
            what: format!("it is split into {count} files"),
            limit: PARTS_LIMIT,
        });
    }
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let (stem, number, of) = parse(name).ok_or(HeaderError::PartName { count })?;
    if u64::from(of) != count {
        return Err(HeaderError::PartName { count });
    }
    if number != 1 {
        return Err(HeaderError::NotFirst {
            part: number,
            count: of,
            first: part_name(stem, 1, of),
        });
    }
    Ok((2..=of)
        .map(|part| path.with_file_name(part_name(stem, part, of)))
        .collect())
}

fn part_name(stem: &str, part: u32, of: u32) -> String {
    format!("{stem}-{part:05}-of-{of:05}.gguf")
}

/// Takes `stem-00001-of-00003.gguf` apart.
fn parse(name: &str) -> Option<(&str, u32, u32)> {
    let rest = name.strip_suffix(".gguf")?;
    let (rest, of) = rest.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let number_of = |text: &str| (text.len() == 5).then(|| text.parse().ok()).flatten();
    Some((stem, number_of(number)?, number_of(of)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_known_by_its_name() {
        let rows = [
            ("a-00001-of-00003.gguf", Some(("a", 1, 3))),
            ("a-b-00002-of-00003.gguf", Some(("a-b", 2, 3))),
            ("a-1-of-3.gguf", None),
            ("a.gguf", None),
            ("a-00001-of-00003.bin", None),
        ];
        for (name, expected) in rows {
            assert_eq!(parse(name), expected, "{name}");
        }
    }
}
