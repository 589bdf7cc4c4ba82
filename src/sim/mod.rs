//! The built-in simulated llama-server: the surface that a supervisor sees, and faults on demand.
//!
//! It takes llama-server's flags and environment, opens its port before it "loads", answers 503
//! until then, logs the same lines in the same order on stderr, and ends as the real one ends. It
//! loads no model and its text is canned and says so. Faults are flags (`--sim-…`) or variables
//! (`SIM_…`), always compiled in: demo and tests use the same program.

mod console;
mod faults;
mod flags;
mod server;
mod state;

use std::ffi::OsString;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use console::log;
use faults::{Crash, Faults, LoadFailure};
use flags::{Options, Wish};
use state::Shared;

/// Runs the simulated server; `args` are those after the program. Returns the exit code.
#[must_use]
pub fn main(args: &[OsString]) -> u8 {
    let args: Vec<String> = args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let environment = |name: &str| std::env::var(name).ok();
    match flags::parse(&args, environment) {
        Ok(Wish::Serve(options)) => run(*options),
        Ok(Wish::Print { text, to }) => {
            console::print(&text, to);
            0
        }
        Ok(Wish::Sleep { deaf }) => faults::sleeper(deaf),
        Err(message) => {
            log(&message);
            1
        }
    }
}

fn run(options: Options) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(serve(options));
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            log(&format!("start: {error}"));
            1
        }
    }
}

async fn serve(options: Options) -> u8 {
    let faults = options.faults.clone();
    if faults.ignore_term {
        // A handler that does nothing: the default action would end us even before the load.
        let deaf = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGTERM, deaf).ok(); // then it is not deaf
    }
    faults.start_sleepers();
    let ballast = faults.ballast();
    log("I srv  llama_server: initializing");
    let listener = match server::bind(&options).await {
        Ok(listener) => listener,
        Err(error) => {
            log(&format!(
                "E srv         start: couldn't bind HTTP server socket, hostname: {}, port: {} ({error})",
                options.host, options.port
            ));
            return 1;
        }
    };
    let shared = Shared::new(&options);
    tokio::spawn(server::serve(listener, shared.clone()));
    log(&format!(
        "I srv    load_model: loading model '{}'",
        options.model
    ));
    if let Some(code) = load(&faults).await {
        return code;
    }
    shared.loaded();
    log("I srv  llama_server: model loaded");
    log(&format!(
        "I srv  llama_server: listening on {}",
        options.url()
    ));
    faults.start_flood();
    if faults.traffic > 0.0 {
        tokio::spawn(shared.clone().traffic(faults.traffic));
    }
    let code = until_the_end(&faults).await;
    drop(ballast);
    code
}

/// Passes the time a load takes; `Some` when it failed, with the exit code.
async fn load(faults: &Faults) -> Option<u8> {
    let steps = 10_u32;
    for step in 1..=steps {
        tokio::time::sleep(faults.load / steps).await;
        if faults.load >= Duration::from_secs(1) {
            log(&format!("I load_tensors: {} %", step * 100 / steps));
        }
    }
    let failure = faults.load_failure?;
    for line in failure.lines() {
        log(line);
    }
    if failure == LoadFailure::VulkanOutOfMemory {
        std::process::abort();
    }
    Some(1)
}

/// Serves until a signal or a planned crash; returns the exit code.
async fn until_the_end(faults: &Faults) -> u8 {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return 1;
    };
    let crash = async {
        match faults.crash_after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate.recv(), if !faults.ignore_term => {}
        _ = interrupt.recv() => {}
        () = crash => return crash_now(faults.crash),
    }
    log("I srv    operator(): operator(): cleaning up before exit...");
    // A second signal in the middle of the clean-up ends the real one with code 1.
    tokio::select! {
        _ = terminate.recv() => 1,
        _ = interrupt.recv() => 1,
        () = tokio::time::sleep(faults.exit_delay) => 0,
    }
}

fn crash_now(crash: Crash) -> u8 {
    match crash {
        Crash::Code(code) => code,
        Crash::Signal(number) => {
            if let Some(signal) = Signal::from_named_raw(number) {
                kill_process(getpid(), signal).ok(); // then it ends with the code below
            }
            1
        }
    }
}
