//! The files of one stream, oldest first, as they were at one moment.
//!
//! A rotation renames every file to the next number, the oldest first, and then begins a new one.
//! Looking from the live file up the numbers therefore misses no file that stays: a file only
//! moves in the direction of the look. One that is met twice counts where it was met last.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::times::Times;
use super::{numbered, read_up_to, rotated};
use crate::domain::log::{FileId, Place, Stream};

/// Newlines are looked for in pieces of this size.
const PIECE: usize = 64 << 10;

/// All files of one stream, open.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) stream: Stream,
    pub(super) files: Vec<ChainFile>,
}

/// One open log file. What is written later than it was opened is not looked at.
#[derive(Debug)]
pub(super) struct ChainFile {
    pub(super) id: FileId,
    pub(super) file: File,
    pub(super) length: u64,
    path: PathBuf,
    times: OnceCell<Times>,
}

/// A byte of a chain: the number of its file, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) file: usize,
    pub(super) offset: u64,
}

/// What became of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    Kept(Spot),
    /// Its file was deleted; this is the oldest line there is.
    Lost(Spot),
}

impl Chain {
    pub(super) fn open(log: &Path, stream: Stream) -> io::Result<Self> {
        let mut newest_first: Vec<ChainFile> = Vec::new();
        let mut number = 0;
        loop {
            // Every rotation meanwhile moves the end of the look by one.
            let highest = rotated(log).into_iter().max().unwrap_or(0);
            if number > highest.saturating_add(1) {
                break;
            }
            while number <= highest.saturating_add(1) {
                let path = numbered(log, number);
                number += 1;
                let Some(file) = ChainFile::open(path)? else {
                    continue;
                };
                newest_first.retain(|earlier| earlier.id != file.id);
                newest_first.push(file);
            }
        }
        newest_first.reverse();
        Ok(Self {
            stream,
            files: newest_first,
        })
    }

    /// The oldest byte.
    pub(super) fn start(&self) -> Spot {
        Spot { file: 0, offset: 0 }
    }

    /// Behind the last whole line. Only the live file can end with an unfinished one.
    pub(super) fn end(&self) -> io::Result<Spot> {
        let Some(live) = self.files.last() else {
            return Ok(self.start());
        };
        let newline = newline_before(&live.file, 0, live.length)?;
        Ok(Spot {
            file: self.files.len() - 1,
            offset: newline.map_or(0, |newline| newline + 1),
        })
    }

    /// Goes on to the live file when every line of the older ones has been read.
    pub(super) fn skip_read_files(&self, spot: Spot) -> Spot {
        let live = self.files.len().saturating_sub(1);
        if spot.file < live {
            Spot {
                file: live,
                offset: 0,
            }
        } else {
            spot
        }
    }

    pub(super) fn place(&self, spot: Spot) -> Option<Place> {
        self.files.get(spot.file).map(|file| Place {
            file: file.id,
            offset: spot.offset,
        })
    }

    pub(super) fn resolve(&self, place: Option<Place>) -> Resolved {
        let Some(place) = place else {
            return Resolved::Kept(self.start());
        };
        let Some(number) = self.files.iter().position(|file| file.id == place.file) else {
            return Resolved::Lost(self.start());
        };
        let length = self.files[number].length;
        let is_live = number + 1 == self.files.len();
        // Somebody truncated the live file; the writer went on at its new end.
        let was_truncated = is_live && place.offset > length;
        Resolved::Kept(Spot {
            file: number,
            offset: if was_truncated {
                0
            } else {
                place.offset.min(length)
            },
        })
    }

    /// When the byte at a spot was written.
    pub(super) fn at(&self, spot: Spot) -> Option<u64> {
        self.files.get(spot.file)?.times().at(spot.offset)
    }

    /// The first line written at or after a time; behind the last line when there is none.
    pub(super) fn since(&self, millis: u64) -> io::Result<Spot> {
        for (number, file) in self.files.iter().enumerate() {
            if let Some(offset) = file.times().since(millis) {
                let offset = line_start_from(file, offset.min(file.length))?;
                return Ok(Spot {
                    file: number,
                    offset,
                });
            }
        }
        self.end()
    }

    pub(super) fn has(&self, id: FileId) -> bool {
        self.files.iter().any(|file| file.id == id)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }
}

impl ChainFile {
    fn open(path: PathBuf) -> io::Result<Option<Self>> {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(&path, &error)),
        };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Ok(None);
        }
        Ok(Some(Self {
            id: id_of(&metadata),
            length: metadata.len(),
            file,
            path,
            times: OnceCell::new(),
        }))
    }

    fn times(&self) -> &Times {
        self.times.get_or_init(|| {
            let times = Times::open(&self.path);
            // It may have been rotated since: then what lies beside the name is another's.
            let same = fs::metadata(&self.path).is_ok_and(|metadata| id_of(&metadata) == self.id);
            if same { times } else { Times::default() }
        })
    }
}

/// The identity of a file that keeps it through renames.
pub(super) fn id_of(metadata: &fs::Metadata) -> FileId {
    let born = metadata
        .created()
        .ok()
        .and_then(|born| born.duration_since(UNIX_EPOCH).ok())
        .and_then(|born| u64::try_from(born.as_nanos()).ok());
    FileId {
        inode: metadata.ino(),
        born: born.unwrap_or(0),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The first beginning of a line at or behind an offset.
fn line_start_from(file: &ChainFile, offset: u64) -> io::Result<u64> {
    let Some(before) = offset.checked_sub(1) else {
        return Ok(0);
    };
    let newline = newline_after(&file.file, before, file.length)?;
    Ok(newline.map_or(file.length, |newline| newline + 1))
}

/// The last newline of a stretch.
pub(super) fn newline_before(file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; PIECE];
    let mut end = to;
    while end > from {
        let size = usize::try_from(end - from).unwrap_or(PIECE).min(PIECE);
        let begin = end - size as u64;
        let read = read_up_to(file, &mut buffer[..size], begin)?;
        if let Some(at) = memchr::memrchr(b'\n', &buffer[..read]) {
            return Ok(Some(begin + at as u64));
        }
        end = begin;
    }
    Ok(None)
}

/// The first newline of a stretch.
pub(super) fn newline_after(file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; PIECE];
    let mut begin = from;
    while begin < to {
        let size = usize::try_from(to - begin).unwrap_or(PIECE).min(PIECE);
        let read = read_up_to(file, &mut buffer[..size], begin)?;
        if let Some(at) = memchr::memchr(b'\n', &buffer[..read]) {
            return Ok(Some(begin + at as u64));
        }
        if read < size {
            break;
        }
        begin += size as u64;
    }
    Ok(None)
}
