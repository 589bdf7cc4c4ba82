//! What a panic does: the terminal is given back if it was the dashboard's own, and a report is
//! kept of every one.

use std::backtrace::Backtrace;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};

use super::term;

/// What is told of a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// The message and its place in the source, in one line.
    pub text: String,
    /// Where the report is; absent when it could not be written.
    pub report: Option<PathBuf>,
}

/// Installs the hook: a panic of the dashboard's thread restores the terminal before anything else
/// is told; one of another thread leaves the screen alone and goes to `tell`.
pub(super) fn install_hook(report: PathBuf, tell: impl Fn(Panicked) + Send + Sync + 'static) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some(term::THREAD) {
            term::give_back();
            keep(&report, info).ok(); // the panic is told all the same
            // The line discipline is restored by the guard when the stack unwinds.
            before(info);
        } else if term::is_entered() {
            let kept = keep(&report, info).is_ok();
            tell(Panicked {
                text: summary(info),
                report: kept.then(|| report.clone()),
            });
        } else {
            before(info);
        }
    }));
}

fn summary(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("a panic without words");
    match info.location() {
        Some(place) => format!("{message} ({}:{})", place.file(), place.line()),
        None => message.to_owned(),
    }
}

/// Adds a report to the file.
fn keep(file: &Path, info: &PanicHookInfo<'_>) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    let thread = std::thread::current();
    let text = format!(
        "{} llama-orch {}\nthread {} {info}\n{}\n",
        jiff::Timestamp::now(),
        env!("CARGO_PKG_VERSION"),
        thread.name().unwrap_or("without a name"),
        Backtrace::force_capture(),
    );
    file.write_all(text.as_bytes())
}
