//! `bundle`: what was kept of a crash, as one file or folder to look at or to pass on.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::args::BundleArgs;
use super::exit::{CliError, Exit};
use super::output::Output;
use super::{select, tar};
use crate::config::home::Home;
use crate::config::load;
use crate::domain::instance::InstanceName;
use crate::supervisor::crashes;

/// `llama-orch bundle`
///
/// # Errors
///
/// Returns an error when the instance is unknown, nothing was kept, or nothing can be written.
pub(super) fn run(home: &Home, args: &BundleArgs, output: &Output) -> Result<Exit, CliError> {
    let name = select::one(&load::load(home), &args.name)?;
    let mut bundles = crashes::of(home, &name);
    if bundles.is_empty() {
        let message = format!("no crash of {name} is on record");
        return Err(CliError::new(Exit::General, message));
    }
    if args.list {
        for bundle in &bundles {
            output.line(&bundle.display().to_string())?;
        }
        return Ok(Exit::Success);
    }
    if !args.all {
        bundles.truncate(1);
    }
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| default_path(&name, args.folder));
    let written = if args.folder {
        copy(&bundles, &path)
    } else {
        pack(&bundles, &name, &path)
    };
    written.map_err(|error| {
        CliError::new(Exit::General, format!("write {}: {error}", path.display()))
    })?;
    output.line(&path.display().to_string())?;
    output.say("secrets are masked; look through it before you pass it on all the same");
    Ok(Exit::Success)
}

/// Packs one bundle into the current directory, over no file that is there; returns where.
///
/// # Errors
///
/// Returns an error when it cannot be read, or the file not be written.
pub(super) fn export(name: &InstanceName, bundle: &Path) -> io::Result<PathBuf> {
    let folder = std::env::current_dir()?;
    let numbered = (2_u32..).map(|number| format!("{name}-crash-{number}.tar"));
    let path = std::iter::once(format!("{name}-crash.tar"))
        .chain(numbered)
        .map(|file| folder.join(file))
        .find(|path| !path.exists())
        .unwrap_or_else(|| folder.join(format!("{name}-crash.tar")));
    pack(&[bundle.to_owned()], name, &path)?;
    Ok(path)
}

fn default_path(name: &InstanceName, folder: bool) -> PathBuf {
    if folder {
        PathBuf::from(format!("{name}-crash"))
    } else {
        PathBuf::from(format!("{name}-crash.tar"))
    }
}

/// Lists the files of a bundle with their names and contents.
fn files_of(bundle: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let run = bundle.file_name().unwrap_or_default().to_string_lossy();
    let mut files = Vec::new();
    for entry in fs::read_dir(bundle)? {
        let entry = entry?;
        let name = format!("{run}/{}", entry.file_name().to_string_lossy());
        files.push((name, entry.path()));
    }
    files.sort();
    Ok(files)
}

fn copy(bundles: &[PathBuf], target: &Path) -> io::Result<()> {
    for bundle in bundles {
        for (name, path) in files_of(bundle)? {
            let to = target.join(name);
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::copy(path, to)?;
        }
    }
    Ok(())
}

fn pack(bundles: &[PathBuf], instance: &InstanceName, target: &Path) -> io::Result<()> {
    let mut out = io::BufWriter::new(File::create(target)?);
    for bundle in bundles {
        for (name, path) in files_of(bundle)? {
            let modified = fs::metadata(&path)?.modified().unwrap_or(UNIX_EPOCH);
            let seconds = seconds(modified);
            let bytes = fs::read(&path)?;
            // The name of the instance is up to 64 characters, that of a run 36.
            let full = format!("{instance}/{name}");
            let name = if full.len() > 100 { name } else { full };
            tar::append(&mut out, &name, &bytes, seconds)?;
        }
    }
    tar::finish(&mut out)?;
    out.flush()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs())
}
