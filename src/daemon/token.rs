//! The token of the API beside the socket: one line in a file that only its owner can read.
//!
//! It is made when it is needed and not there, and read whenever somebody shows one: to replace it,
//! remove the file or write another word into it.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::process::os;

/// Random bytes in a new token.
const RANDOM_BYTES: usize = 32;

/// A shorter one could be guessed.
const SHORTEST: usize = 16;

/// A longer file holds something else.
const LONGEST: u64 = 4096;

/// What a caller has to show. It is neither printed nor logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("{verb} the token file {}: {source}", .path.display())]
    Io {
        verb: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the token file {} is no file; name one in api.token_file, or one that is to be made", .path.display())]
    NoFile { path: PathBuf },
    #[error("the token file {} can be used by others; do: chmod 600 {}", .path.display(), .path.display())]
    Readable { path: PathBuf },
    #[error("the token file {} belongs to user {owner}; it must be this user's, or root's", .path.display())]
    Stranger { path: PathBuf, owner: u32 },
    #[error(
        "the token file {} must hold one word of {SHORTEST} to {LONGEST} visible characters; remove it, \
         and a good one is made",
        .path.display()
    )]
    Contents { path: PathBuf },
}

impl Token {
    /// Reads the token, making the file first if there is none.
    ///
    /// # Errors
    ///
    /// Returns why the file cannot be made, read or trusted.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let fail = |verb| {
            move |source| TokenError::Io {
                verb,
                path: path.to_owned(),
                source,
            }
        };
        // A pipe without a writer is refused, not waited for.
        let open = || {
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            OpenOptions::new().read(true).custom_flags(flags).open(path)
        };
        match open() {
            Ok(file) => read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(path).map_err(fail("make"))?;
                // Another owner's start may have been a moment earlier; one file, one token.
                read(path, open().map_err(fail("read"))?)
            }
            Err(error) => Err(fail("read")(error)),
        }
    }

    /// Returns whether `shown` is the token. The time it takes tells nothing but the length.
    #[must_use]
    pub fn is(&self, shown: &str) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), shown.as_bytes());
        if ours.len() != theirs.len() {
            return false;
        }
        let pairs = ours.iter().zip(theirs);
        let differences = pairs.fold(0, |seen, (one, other)| black_box(seen | (one ^ other)));
        differences == 0
    }
}

/// Never the token itself.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

fn read(path: &Path, file: File) -> Result<Token, TokenError> {
    let path = path.to_owned();
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(source) => {
            let verb = "look at";
            return Err(TokenError::Io { verb, path, source });
        }
    };
    if !metadata.is_file() {
        return Err(TokenError::NoFile { path });
    }
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != own && owner != 0 {
        return Err(TokenError::Stranger { path, owner });
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(TokenError::Readable { path });
    }
    let mut text = String::new();
    if let Err(source) = file.take(LONGEST + 1).read_to_string(&mut text) {
        let verb = "read";
        return Err(TokenError::Io { verb, path, source });
    }
    let word = text.trim();
    let fits = (SHORTEST..=LONGEST as usize).contains(&word.len());
    if !fits || !word.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Contents { path });
    }
    Ok(Token(word.to_owned()))
}

/// Makes the file as a whole, with its mode, or leaves the one that came meanwhile.
fn make(path: &Path) -> io::Result<()> {
    let mut random = [0; RANDOM_BYTES];
    os::random(&mut random)?;
    let digits: Vec<String> = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{:08x}.tmp", fastrand::u32(..)));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let written = writeln!(file, "{}", digits.concat()).and_then(|()| file.sync_all());
    // A hard link fails when its name exists, which a rename does not.
    let linked = written.and_then(|()| fs::hard_link(&temporary, path));
    fs::remove_file(&temporary).ok(); // it has its name now, or is of no use
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::{CWD, Mode};

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/token");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn({
                    let path = path.clone();
                    move || Token::load(&path).expect("a token")
                })
            })
            .collect();
        for thread in threads {
            let token = thread.join().expect("it ends");
            let text = fs::read_to_string(&path).expect("a token");
            assert_eq!((text.len(), token.is(text.trim())), (65, true));
        }
        let mode = fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let left = fs::read_dir(folder.path().join("deep")).expect("a folder");
        assert_eq!(left.count(), 1);
        assert_eq!(format!("{:?}", Token("secret".to_owned())), "Token(***)");
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token("0123456789abcdef".to_owned());
        for (shown, right) in [
            ("0123456789abcdef", true),
            ("0123456789abcdeF", false),
            ("1123456789abcdef", false),
            ("0123456789abcde", false),
            ("0123456789abcdef0", false),
            ("", false),
        ] {
            assert_eq!(token.is(shown), right, "{shown}");
        }
    }

    #[test]
    fn a_file_that_is_no_secret_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let rows = [
            ("0123456789abcdef\n", 0o640, "chmod 600"),
            ("short\n", 0o600, "one word of 16 to 4096"),
            (
                "two words of some length\n",
                0o600,
                "one word of 16 to 4096",
            ),
            ("", 0o600, "a good one is made"),
        ];
        for (text, mode, told) in rows {
            fs::write(&path, text).expect("write");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("change");
            let error = Token::load(&path).expect_err("it is refused").to_string();
            assert!(error.contains(told), "{error}");
        }
        let folder = folder.path();
        let pipe = folder.join("pipe");
        rustix::fs::mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).expect("a pipe");
        for path in [pipe, folder.to_owned()] {
            let error = Token::load(&path).expect_err("it is refused").to_string();
            assert!(error.contains("is no file; "), "{error}");
        }
    }
}
