//! Where this program's own log goes.

use std::io;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::daemon::logfile::LogFile;

/// What is logged unless `LLAMA_ORCH_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info";

/// Logs to stderr, for a service manager or a person.
pub(super) fn to_stderr() {
    let subscriber = fmt()
        .with_env_filter(filter())
        .with_writer(io::stderr)
        .with_target(false);
    subscriber.try_init().ok(); // already set up, by a test
}

/// Logs into the dashboard's diagnostics pane.
pub(super) fn to_dashboard() {
    tui_logger::set_default_level(tui_logger::LevelFilter::Trace);
    let subscriber = tracing_subscriber::registry()
        .with(filter())
        .with(tui_logger::TuiTracingSubscriberLayer);
    subscriber.try_init().ok(); // already set up, by a test
}

/// Logs to the daemon's file.
pub(super) fn to_file(log: LogFile) {
    let subscriber = fmt()
        .with_env_filter(filter())
        .with_ansi(false)
        .with_target(false)
        .with_writer(Mutex::new(log));
    subscriber.try_init().ok(); // already set up, by a test
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env("LLAMA_ORCH_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER))
}
