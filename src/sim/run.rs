//! The life of the simulated server: bind, load, serve, end.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::faults::Sigterm;
use super::flags::Settings;
use super::load::{self, LoadError};
use super::logfmt::{self, Level, Log};
use super::server;
use super::state::{Phase, Shared};
use super::{flood, sleeper};

/// Runs the server until it ends and returns its exit code.
pub(super) fn run(settings: Settings) -> u8 {
    let log = Log::new(Instant::now(), settings.verbosity, settings.log_form);
    let deaf = settings.faults.sigterm == Sigterm::Ignored;
    let signals = if deaf {
        sleeper::ignore_termination()
    } else {
        Ok(())
    };
    let runtime = signals.and_then(|()| Builder::new_current_thread().enable_all().build());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return give_up(&log, &error),
    };
    let code = runtime.block_on(live(settings, log));
    runtime.shutdown_background();
    code
}

async fn live(settings: Settings, log: Log) -> u8 {
    greet(&settings, &log);
    let shared = Shared::new(settings, log);
    let Some(listeners) = server::bind_all(&shared) else {
        clean_up(&log);
        server_line(&log, Level::Error, "exiting due to HTTP server error");
        return 1;
    };
    let addresses: Vec<String> = listeners.iter().map(|at| at.address.clone()).collect();
    let doors: Vec<_> = listeners
        .into_iter()
        .map(|listener| server::accept(listener, Arc::clone(&shared)))
        .collect();
    let _loaded = match load::load(&shared.settings, &log).await {
        Ok(loaded) => loaded,
        Err(LoadError::Crashed(crash)) => return crash.carry_out(),
        Err(LoadError::Refused) => {
            clean_up(&log);
            server_line(&log, Level::Error, "exiting due to model loading error");
            return 1;
        }
    };
    // Only from here on is a signal taken: until it has loaded, llama-server dies of it.
    let started = Stop::new(&shared).and_then(|stop| {
        if let Some(grandchildren) = shared.settings.faults.grandchildren {
            sleeper::start(grandchildren)?;
        }
        Ok(stop)
    });
    let mut stop = match started {
        Ok(stop) => stop,
        Err(error) => return give_up(&log, &error),
    };
    shared.set_ready();
    server_line(&log, Level::Info, "model loaded");
    for address in addresses {
        server_line(&log, Level::Info, &format!("listening on {address}"));
    }
    shared.log_if_idle();
    let flooded = match shared.settings.faults.flood.map(flood::start).transpose() {
        Ok(flooded) => flooded,
        Err(error) => return give_up(&log, &error),
    };
    tokio::spawn(Arc::clone(&shared).log_traffic());
    tokio::spawn(hang(Arc::clone(&shared)));
    let code = tokio::select! {
        () = stop.asked() => None,
        code = crash(&shared, flooded) => Some(code),
    };
    if let Some(code) = code {
        return code;
    }
    tokio::select! {
        () = end(&shared) => {}
        () = stop.asked() => {
            logfmt::write_stderr("Received second interrupt, terminating immediately.\n");
            return 1;
        }
    }
    for door in doors {
        door.abort();
    }
    0
}

fn greet(settings: &Settings, log: &Log) {
    for warning in &settings.early_warnings {
        logfmt::write_stderr(&format!("{warning}\n"));
    }
    for flag in &settings.repeated {
        log.line(Level::Warning, &format!("DEPRECATED: argument '{flag}' specified multiple times, use comma-separated values instead (only last value will be used)"));
    }
    server_line(log, Level::Info, "initializing ...");
    let common = |level, text: &str| log.server(level, "cmn", "common_param", text);
    common(
        Level::Trace,
        "common_params_print_info: build 1 (simulated)",
    );
    let verbosity = settings.verbosity;
    common(
        Level::Info,
        &format!(
            "common_params_print_info: verbosity = {verbosity} (adjust with the `-lv N` CLI arg)"
        ),
    );
    common(Level::Trace, "device_info:");
    for device in &settings.devices {
        common(
            Level::Trace,
            &format!("  - {device} : simulated (8192 MiB, 8192 MiB free)"),
        );
    }
    server_line(
        log,
        Level::Info,
        "this is the built-in simulation: no model is read, answers are canned",
    );
    if settings.model.is_none() {
        server_line(
            log,
            Level::Warning,
            "no model is named: a real llama-server would start as a router",
        );
    }
}

/// Waits for the ordered crash, if any, and returns the exit code if the process still lives. A
/// flood with a last line comes to its end first, however slow the machine is.
async fn crash(shared: &Shared, flooded: Option<oneshot::Receiver<()>>) -> u8 {
    let Some((after, crash)) = shared.settings.faults.crash else {
        return pending().await;
    };
    let bounded = shared
        .settings
        .faults
        .flood
        .is_some_and(|flood| flood.lines > 0);
    if let (true, Some(flooded)) = (bounded, flooded) {
        flooded.await.ok(); // it also ends when its output fails
    }
    sleep(after).await;
    crash.carry_out()
}

async fn hang(shared: Arc<Shared>) {
    if let Some((after, hang)) = shared.settings.faults.hang {
        sleep(after).await;
        shared.set_hung(hang);
    }
}

/// The graceful end; a wedged server never gets there.
async fn end(shared: &Shared) {
    let stuck = match (shared.phase(), shared.settings.faults.sigterm) {
        (Phase::Hung { .. }, _) => true,
        (Phase::Loading | Phase::Ready { .. }, Sigterm::StuckWhenBusy) => shared.is_busy(),
        (Phase::Loading | Phase::Ready { .. }, Sigterm::Graceful | Sigterm::Ignored) => false,
    };
    if stuck {
        pending::<()>().await;
    }
    clean_up(&shared.log);
    let stop_time = shared.settings.faults.stop_time;
    if stop_time > Duration::ZERO {
        sleep(stop_time).await;
    }
}

fn clean_up(log: &Log) {
    log.server(
        Level::Info,
        "srv",
        "operator()",
        "operator(): cleaning up before exit...",
    );
}

fn server_line(log: &Log, level: Level, text: &str) {
    log.server(level, "srv", "llama_server", text);
}

fn give_up(log: &Log, error: &io::Error) -> u8 {
    server_line(
        log,
        Level::Error,
        &format!("the simulation cannot run: {error}"),
    );
    1
}

/// The signals that ask for the end.
enum Stop {
    Taken {
        terminate: Signal,
        interrupt: Signal,
    },
    Ignored,
}

impl Stop {
    fn new(shared: &Shared) -> io::Result<Self> {
        match shared.settings.faults.sigterm {
            Sigterm::Ignored => Ok(Self::Ignored),
            Sigterm::Graceful | Sigterm::StuckWhenBusy => Ok(Self::Taken {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            }),
        }
    }

    async fn asked(&mut self) {
        match self {
            Self::Ignored => pending().await,
            Self::Taken {
                terminate,
                interrupt,
            } => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
        }
    }
}
