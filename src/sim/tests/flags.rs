//! Arguments and environment become settings, or llama-server's own refusals.

use std::ffi::OsString;
use std::time::Duration;

use crate::sim::faults::{Crash, FloodStream, Hang, LoadFailure, Sigterm};
use crate::sim::flags::{FlagError, KvCache, Request, Settings, read};
use crate::sim::logfmt::Form;

fn request(arguments: &str, environment: &[(&str, &str)]) -> Result<Request, FlagError> {
    let arguments: Vec<OsString> = arguments.split_whitespace().map(OsString::from).collect();
    read(&arguments, |name| {
        let mut pairs = environment.iter();
        let pair = pairs.find(|(variable, _)| *variable == name)?;
        Some(pair.1.to_owned())
    })
}

pub(super) fn settings(arguments: &str, environment: &[(&str, &str)]) -> Settings {
    match request(arguments, environment) {
        Ok(Request::Serve(settings)) => Some(*settings),
        Ok(Request::Help | Request::Version | Request::ListDevices(_)) | Err(_) => None,
    }
    .expect("these arguments ask for a server")
}

#[test]
fn the_flags_of_a_supervised_server_are_read() {
    let settings = settings(
        "--model m.gguf --host 127.0.0.1,::1,/tmp/a.sock --port 9001 --ctx-size 8192 \
         --batch-size 512 --threads 6 --alias one,two --timeout 600 --n-gpu-layers all \
         --parallel 2 -fit off --metrics --no-slots --jinja -fa on --no-webui --cont-batching \
         --log_verbosity 4",
        &[],
    );
    assert_eq!(settings.model.as_deref(), Some("m.gguf"));
    assert_eq!(settings.hosts, ["127.0.0.1", "::1", "/tmp/a.sock"]);
    assert_eq!(settings.port, 9001);
    assert_eq!((settings.context, settings.threads), (8192, 6));
    assert_eq!(settings.aliases, ["one", "two"]);
    assert_eq!(settings.gpu_layers, "all");
    assert_eq!((settings.slots, settings.kv_cache), (2, KvCache::Split));
    assert!(settings.metrics_endpoint && !settings.slots_endpoint);
    assert_eq!((settings.verbosity, settings.log_form), (4, Form::Prefixed));
}

#[test]
fn arguments_win_over_the_environment_and_the_last_one_wins() {
    for (arguments, environment, port, metrics, warnings, repeated) in [
        ("", vec![], 8080, false, 0, 0),
        (
            "",
            vec![("LLAMA_ARG_PORT", "7"), ("LLAMA_ARG_ENDPOINT_METRICS", "1")],
            7,
            true,
            0,
            0,
        ),
        ("--port 8", vec![("LLAMA_ARG_PORT", "7")], 8, false, 1, 0),
        ("--port 8 --port 9", vec![], 9, false, 0, 1),
        (
            "",
            vec![("LLAMA_ARG_ENDPOINT_METRICS", "0")],
            8080,
            false,
            0,
            0,
        ),
    ] {
        let settings = settings(arguments, &environment);
        assert_eq!(settings.port, port, "{arguments} {environment:?}");
        assert_eq!(settings.metrics_endpoint, metrics, "{environment:?}");
        assert_eq!(settings.early_warnings.len(), warnings);
        assert_eq!(settings.repeated.len(), repeated);
    }
    let negated = settings("", &[("LLAMA_ARG_NO_ENDPOINT_SLOTS", "1")]);
    assert!(!negated.slots_endpoint);
}

#[test]
fn refusals_are_those_of_llama_server() {
    for (arguments, environment, start) in [
        (
            "--port 80 --nope",
            vec![],
            "error: invalid argument: --nope",
        ),
        ("--port=80", vec![], "error: invalid argument: --port=80"),
        ("stray", vec![], "error: invalid argument: stray"),
        (
            "--port",
            vec![],
            "error while handling argument \"--port\": expected value for argument\n\nusage:\n--port PORT ",
        ),
        (
            "--port x",
            vec![],
            "error while handling argument \"--port\": stoi\n\nusage:\n",
        ),
        (
            "-ngl many",
            vec![],
            "error while handling argument \"-ngl\": stoi\n",
        ),
        (
            "-dev Vulkan7",
            vec![],
            "error while handling argument \"-dev\": invalid device: Vulkan7\n",
        ),
        (
            "--sim-load-failure invalid-device --device CUDA1",
            vec![],
            "error while handling argument \"--device\": invalid device: CUDA1\n",
        ),
        (
            "--api-key-file /nonexistent/keys",
            vec![],
            "error while handling argument \"--api-key-file\": error: failed to open file",
        ),
        (
            "",
            vec![("LLAMA_ARG_PORT", "x")],
            "error while handling environment variable \"LLAMA_ARG_PORT\": stoi\n",
        ),
        (
            "--sim-flood 5 --sim-flood-length 9",
            vec![],
            "error while handling argument \"--sim-flood-length\": not between 20 and 4096\n",
        ),
    ] {
        let refusal = request(arguments, &environment).map_err(|error| error.to_string());
        let refusal = refusal.err().unwrap_or_default();
        assert!(refusal.starts_with(start), "{arguments}: {refusal}");
    }
}

#[test]
fn a_question_is_answered_without_a_server() {
    assert!(matches!(request("-h", &[]), Ok(Request::Help)));
    assert!(matches!(request("--version", &[]), Ok(Request::Version)));
    let devices = request("--list-devices", &[("SIM_DEVICES", "Vulkan0,Vulkan1")]);
    assert!(matches!(devices, Ok(Request::ListDevices(names)) if names.len() == 2));
}

#[test]
fn faults_come_from_flags_and_equally_from_the_environment() {
    let from_flags = settings(
        "--sim-load-time 2s --sim-load-failure kv-cache --sim-crash SIGKILL --sim-crash-after 3s \
         --sim-hang all --sim-ignore-sigterm --sim-flood 100 --sim-flood-stream both \
         --sim-grandchildren 2 --sim-rss-mib 16 --sim-traffic 30",
        &[],
    );
    let from_environment = settings(
        "",
        &[
            ("SIM_LOAD_TIME", "2s"),
            ("SIM_LOAD_FAILURE", "kv-cache"),
            ("SIM_CRASH", "SIGKILL"),
            ("SIM_CRASH_AFTER", "3s"),
            ("SIM_HANG", "all"),
            ("SIM_IGNORE_SIGTERM", "1"),
            ("SIM_FLOOD", "100"),
            ("SIM_FLOOD_STREAM", "both"),
            ("SIM_GRANDCHILDREN", "2"),
            ("SIM_RSS_MIB", "16"),
            ("SIM_TRAFFIC", "30"),
        ],
    );
    for settings in [from_flags, from_environment] {
        let faults = settings.faults;
        assert_eq!(faults.load_time, Duration::from_secs(2));
        assert_eq!(faults.load_failure, Some(LoadFailure::KvCache));
        assert_eq!(
            faults.crash,
            Some((Duration::from_secs(3), Crash::Signal(9)))
        );
        assert_eq!(faults.hang, Some((Duration::ZERO, Hang::All)));
        assert_eq!(faults.sigterm, Sigterm::Ignored);
        let flood = faults.flood.expect("a flood was ordered");
        assert_eq!((flood.stream, flood.length), (FloodStream::Both, 100));
        let grandchildren = faults.grandchildren.expect("grandchildren were ordered");
        assert_eq!(grandchildren.number, 2);
        assert_eq!(faults.resident_mib, 16);
        assert!((faults.traffic - 30.0).abs() < f64::EPSILON);
    }
}

#[test]
fn a_crash_has_many_ways() {
    for (text, crash) in [
        ("3", Some(Crash::Exit(3))),
        ("SIGSEGV", Some(Crash::Signal(11))),
        ("ABRT", Some(Crash::Signal(6))),
        ("device-lost", Some(Crash::DeviceLost)),
        ("256", None),
        ("", None),
    ] {
        assert_eq!(Crash::parse(text), crash, "{text}");
    }
    let default = settings("--sim-crash-after 1s", &[]).faults.crash;
    assert_eq!(default, Some((Duration::from_secs(1), Crash::DEFAULT)));
}
