//! Writes a tar file (POSIX ustar) of small files.

use std::io::{self, Write};

/// Tar counts in blocks of this many bytes.
const BLOCK: usize = 512;

/// The longest name that fits into a header without splitting it.
const NAME_LIMIT: usize = 100;

/// Appends one file; `modified` in unix seconds.
///
/// # Errors
///
/// Returns an error when the name is too long or nothing can be written.
pub(super) fn append(
    out: &mut impl Write,
    name: &str,
    bytes: &[u8],
    modified: u64,
) -> io::Result<()> {
    if name.len() > NAME_LIMIT {
        return Err(io::Error::other(format!(
            "{name} is too long for a tar file"
        )));
    }
    let mut header = [0_u8; BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", bytes.len()));
    put(136, &format!("{modified:011o}\0"));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.write_all(&header)?;
    out.write_all(bytes)?;
    out.write_all(&vec![0; bytes.len().next_multiple_of(BLOCK) - bytes.len()])
}

/// Writes the two empty blocks that end a tar file.
///
/// # Errors
///
/// Returns an error when nothing can be written.
pub(super) fn finish(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_itself_reads_what_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.tar");
        let mut file = std::fs::File::create(&path).expect("create");
        append(&mut file, "x/one.txt", b"one", 1).expect("append");
        append(&mut file, "x/two.txt", &[b'2'; 1024], 2).expect("append");
        finish(&mut file).expect("finish");
        assert!(append(&mut Vec::new(), &"x".repeat(101), b"", 0).is_err());
        let Ok(ran) = std::process::Command::new("tar")
            .arg("-xf")
            .arg(&path)
            .current_dir(folder.path())
            .output()
        else {
            return; // a machine without tar
        };
        assert!(ran.status.success(), "{ran:?}");
        let read = |name: &str| std::fs::read(folder.path().join(name)).expect("extracted");
        assert_eq!(read("x/one.txt"), b"one");
        assert_eq!(read("x/two.txt"), [b'2'; 1024]);
    }
}
