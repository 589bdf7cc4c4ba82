//! Every way to end, from what a real llama-server wrote: see `tests/data/stderr/README.md`.

use super::*;
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::run::StopMode;

use Cause as C;
use ExitStatus::{Code, Signal};
use RetryClass::{AfterPortFrees, AfterVramFrees, Backoff, Never};

/// Recording, how the process ended, and what follows from both.
type Row = (&'static str, ExitStatus, Cause, RetryClass, &'static str);

const ROWS: [Row; 44] = [
    (
        "unknown_flag",
        Code(1),
        C::UnknownFlag,
        Never,
        "unknown flag --no-mmapp",
    ),
    (
        "old_flag",
        Code(1),
        C::UnknownFlag,
        Never,
        "unknown flag --no-mmap",
    ),
    (
        "bad_number",
        Code(1),
        C::InvalidArgument,
        Never,
        "the value of --ctx-size is not a number",
    ),
    (
        "bad_choice",
        Code(1),
        C::InvalidArgument,
        Never,
        "the value of --flash-attn is refused: unknown value for --flash-attn: 'maybe'",
    ),
    (
        "missing_value",
        Code(1),
        C::InvalidArgument,
        Never,
        "the flag --port has no value",
    ),
    (
        "env_bad",
        Code(1),
        C::InvalidArgument,
        Never,
        "the value of LLAMA_ARG_CTX_SIZE in the environment is not a number",
    ),
    (
        "key_file_missing",
        Code(1),
        C::InvalidArgument,
        Never,
        "the file nowhere.txt of --api-key-file cannot be opened",
    ),
    (
        "quantized_v",
        Code(1),
        C::InvalidArgument,
        Never,
        "a quantized V cache needs flash attention",
    ),
    (
        "template",
        Code(1),
        C::InvalidArgument,
        Never,
        "the chat template is refused: {% nonsense",
    ),
    (
        "invalid_device",
        Code(1),
        C::InvalidDevice,
        Never,
        "no device is called CUDA0",
    ),
    (
        "from_sources/main_gpu",
        Code(1),
        C::InvalidDevice,
        Never,
        "there is no GPU number 7 (1 available)",
    ),
    (
        "missing_model",
        Code(1),
        C::ModelMissing,
        Never,
        "the file nowhere.gguf cannot be opened: No such file or directory",
    ),
    (
        "json_missing_model",
        Code(1),
        C::ModelMissing,
        Never,
        "the file nowhere.gguf cannot be opened: No such file or directory",
    ),
    (
        "mmproj_missing",
        Code(1),
        C::ModelMissing,
        Never,
        "the file nowhere.gguf cannot be opened: No such file or directory",
    ),
    (
        "lora_missing",
        Code(1),
        C::ModelMissing,
        Never,
        "the file nowhere.gguf cannot be opened: No such file or directory",
    ),
    (
        "draft_missing",
        Code(1),
        C::ModelMissing,
        Never,
        "the file nowhere.gguf cannot be opened: No such file or directory",
    ),
    (
        "truncated_model",
        Code(1),
        C::ModelDamaged,
        Never,
        "the model file is cut short: blk.0.ffn_up.weight lies behind its end",
    ),
    (
        "quiet_truncated",
        Code(1),
        C::ModelDamaged,
        Never,
        "the model file is cut short: blk.0.ffn_up.weight lies behind its end",
    ),
    (
        "header_only",
        Code(1),
        C::ModelDamaged,
        Never,
        "the model file is damaged: its key-value pairs cannot be read",
    ),
    (
        "empty_model",
        Code(1),
        C::ModelDamaged,
        Never,
        "the model file is empty",
    ),
    (
        "wrong_magic",
        Code(1),
        C::ModelDamaged,
        Never,
        "the model is no GGUF file: it begins with 'this'",
    ),
    (
        "unknown_architecture",
        Code(1),
        C::UnknownArchitecture,
        Never,
        "this build does not know the architecture lama9",
    ),
    (
        "newer_gguf",
        Code(1),
        C::UnknownArchitecture,
        Never,
        "the model is GGUF version 9, and this build reads up to 3",
    ),
    (
        "port_in_use",
        Code(1),
        C::PortInUse,
        AfterPortFrees,
        "port 18556 could not be bound on 127.0.0.1",
    ),
    (
        "download",
        Code(1),
        C::InvalidArgument,
        Never,
        "this build cannot download: it knows no HTTPS",
    ),
    (
        "memory_model",
        Code(1),
        C::OutOfMemory,
        Backoff,
        "out of memory: 301 MiB wanted",
    ),
    (
        "memory_mmap",
        Code(1),
        C::OutOfMemory,
        Backoff,
        "out of memory: the model cannot be mapped",
    ),
    (
        "memory_context",
        Code(1),
        C::OutOfMemory,
        Backoff,
        "out of memory: 3.8 GiB wanted",
    ),
    (
        "memory_compute",
        Code(1),
        C::OutOfMemory,
        Backoff,
        "out of memory: 36.8 GiB wanted",
    ),
    (
        "memory_tiny",
        Signal(6),
        C::OutOfMemory,
        Backoff,
        "out of memory or threads: the system refused a new thread",
    ),
    (
        "from_sources/cuda_out_of_memory",
        Code(1),
        C::OutOfVram,
        AfterVramFrees,
        "out of VRAM: 9.0 GiB wanted on CUDA0",
    ),
    (
        "from_sources/cuda_kv_cache",
        Code(1),
        C::OutOfVram,
        AfterVramFrees,
        "out of VRAM: 5.0 GiB wanted on CUDA1",
    ),
    (
        "from_sources/cuda_compute_buffers",
        Code(1),
        C::OutOfVram,
        AfterVramFrees,
        "out of VRAM: 1.0 GiB wanted on CUDA0",
    ),
    (
        "from_sources/cuda_out_of_memory_ready",
        Signal(6),
        C::OutOfVram,
        AfterVramFrees,
        "out of VRAM on the CUDA device",
    ),
    (
        "from_sources/vulkan_out_of_memory",
        Code(1),
        C::OutOfVram,
        AfterVramFrees,
        "out of VRAM: 9.0 GiB wanted on Vulkan0",
    ),
    (
        "from_sources/cuda_error",
        Signal(6),
        C::DeviceError,
        Backoff,
        "the CUDA device failed: an illegal memory access was encountered",
    ),
    (
        "from_sources/hip_error",
        Signal(6),
        C::DeviceError,
        Backoff,
        "the ROCm device failed: unspecified launch failure",
    ),
    (
        "from_sources/vulkan_device_lost",
        Signal(6),
        C::DeviceError,
        Backoff,
        "the Vulkan device was lost",
    ),
    (
        "assert",
        Signal(6),
        C::Assertion,
        Backoff,
        "a check inside llama-server failed: n_outputs >= 1",
    ),
    (
        "library_missing",
        Code(127),
        C::LibraryMissing,
        Never,
        "the library libgumm.so.1 is missing (cannot open shared object file: No such file or directory)",
    ),
    (
        "from_sources/old_glibc",
        Code(1),
        C::LibraryMissing,
        Never,
        "this system's libraries are too old: GLIBC_2.38 is wanted",
    ),
    (
        "from_sources/second_interrupt",
        Code(1),
        C::KilledFromOutside,
        Backoff,
        "told twice to stop from outside; it exited at once",
    ),
    (
        "sigterm_ready",
        Code(0),
        C::KilledFromOutside,
        Backoff,
        "told to stop from outside; it cleaned up and exited with code 0",
    ),
    (
        "sigterm_loading",
        Signal(15),
        C::KilledFromOutside,
        Backoff,
        "killed by SIGTERM from outside",
    ),
];

fn recording(name: &str) -> Traces {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stderr");
    let path = folder.join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).expect("the recording is there");
    Traces {
        lines: text.lines().map(str::to_owned).collect(),
        ..Traces::default()
    }
}

fn exit(status: Option<ExitStatus>) -> RunExit {
    RunExit {
        status,
        core_dumped: false,
        started_at: 0.0,
        ended_at: 1.0,
        dropped_bytes: 0,
        requested: None,
    }
}

#[test]
fn every_recorded_end_is_explained() {
    for (name, status, cause, class, summary) in ROWS {
        let traces = recording(name);
        let end = exit(Some(status));
        let autopsy = examine(&end, &traces, &Asked::Nothing, Readiness::NotSeen);
        assert_eq!(autopsy.summary, summary, "{name}: {:?}", autopsy.evidence);
        assert_eq!((autopsy.cause, autopsy.class), (cause, class), "{name}");
        if let (Some(evidence), Code(_)) = (&autopsy.evidence, status) {
            assert!(
                traces
                    .lines
                    .iter()
                    .any(|line| line.contains(evidence.as_str())),
                "{name}: {evidence}"
            );
        }
    }
}

#[test]
fn every_recording_has_its_row() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stderr");
    // These two end by a signal that explains them; they are rows of the next test.
    let others = ["sigsegv", "sigabrt", "sigbus"];
    for (prefix, folder) in [
        ("", folder.clone()),
        ("from_sources/", folder.join("from_sources")),
    ] {
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let file = entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text");
            let Some(name) = file.strip_suffix(".txt") else {
                continue;
            };
            let name = format!("{prefix}{name}");
            let known = ROWS.iter().any(|row| row.0 == name) || others.contains(&name.as_str());
            assert!(known, "{name} has no row");
        }
    }
}

#[test]
fn signals_explain_themselves_when_the_log_does_not() {
    let rows = [
        (
            "sigsegv",
            11,
            C::Segfault,
            Backoff,
            "crashed: killed by SIGSEGV",
        ),
        (
            "sigabrt",
            6,
            C::Assertion,
            Backoff,
            "aborted itself (SIGABRT) without saying why",
        ),
        (
            "sigbus",
            7,
            C::Segfault,
            Backoff,
            "killed by SIGBUS: a mapped file, most likely the model, was cut short or is unreadable",
        ),
        (
            "sigsegv",
            4,
            C::IllegalInstruction,
            Never,
            "killed by SIGILL: built for another processor",
        ),
        (
            "sigsegv",
            9,
            C::KilledFromOutside,
            Backoff,
            "killed by SIGKILL from outside",
        ),
        (
            "sigsegv",
            63,
            C::KilledFromOutside,
            Backoff,
            "killed by signal 63 from outside",
        ),
    ];
    for (name, signal, cause, class, summary) in rows {
        let end = exit(Some(Signal(signal)));
        let autopsy = examine(&end, &recording(name), &Asked::Nothing, Readiness::WasReady);
        assert_eq!(autopsy.summary, summary);
        assert_eq!((autopsy.cause, autopsy.class), (cause, class));
    }
}

#[test]
fn what_we_asked_and_what_the_kernel_counted_come_before_the_log() {
    let kill = exit(Some(Signal(9)));
    let asked_by_shim = RunExit {
        requested: Some(StopMode::Gentle),
        ..exit(Some(Signal(15)))
    };
    let log = recording("truncated_model");
    let oom = Traces {
        oom_kill: Some("oom_kill 1".to_owned()),
        ..log.clone()
    };
    let reboot = Traces {
        rebooted: true,
        ..log.clone()
    };
    let because = Asked::Because {
        cause: C::StartTimedOut,
        reason: "not ready in time".to_owned(),
    };
    let rows = [
        (&kill, &oom, &Asked::Nothing, C::OomKilled),
        (&kill, &oom, &Asked::Stop(StopMode::Gentle), C::Stopped),
        (&kill, &reboot, &Asked::Nothing, C::Rebooted),
        (&kill, &log, &because, C::StartTimedOut),
        (&asked_by_shim, &log, &Asked::Nothing, C::KilledFromOutside),
        (&exit(None), &log, &Asked::Nothing, C::Unwitnessed),
        (
            &exit(Some(Code(3))),
            &Traces::default(),
            &Asked::Nothing,
            C::Unexplained,
        ),
        (
            &exit(Some(Code(0))),
            &Traces::default(),
            &Asked::Nothing,
            C::Unexplained,
        ),
        (
            &exit(Some(Code(127))),
            &Traces::default(),
            &Asked::Nothing,
            C::LibraryMissing,
        ),
    ];
    for (exit, traces, asked, cause) in rows {
        let autopsy = examine(exit, traces, asked, Readiness::NotSeen);
        assert_eq!(autopsy.cause, cause, "{exit:?} {asked:?}");
    }
}

#[test]
fn a_stop_that_was_asked_for_says_what_happened() {
    let rows = [
        (
            Some(Code(0)),
            StopMode::Gentle,
            "stopped as it was asked to",
        ),
        (
            Some(Signal(9)),
            StopMode::Gentle,
            "stopped; it did not end in time and was killed",
        ),
        (
            Some(Signal(9)),
            StopMode::Kill,
            "killed at once, as it was asked for",
        ),
        (Some(Code(0)), StopMode::Kill, "stopped as it was asked to"),
        (
            Some(Signal(15)),
            StopMode::Gentle,
            "stopped; killed by SIGTERM",
        ),
        (None, StopMode::Kill, "stopped"),
    ];
    for (status, mode, summary) in rows {
        let (end, asked) = (exit(status), Asked::Stop(mode));
        let autopsy = examine(&end, &Traces::default(), &asked, Readiness::WasReady);
        assert_eq!(
            (autopsy.cause, autopsy.summary.as_str()),
            (C::Stopped, summary)
        );
    }
}

#[test]
fn a_line_of_a_start_explains_nothing_once_it_was_ready() {
    let end = exit(Some(Code(1)));
    let log = recording("missing_model");
    let ready = examine(&end, &log, &Asked::Nothing, Readiness::WasReady);
    assert_eq!((ready.cause, ready.class), (C::Unexplained, Backoff));
}
