//! Loading the model that is not there: the lines, the time, and every way it can fail.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::faults::{Crash, LoadFailure};
use super::flags::{KvCache, Settings};
use super::logfmt::{self, Level, Log};

/// Progress is shown in this many steps, as dots on one line.
const STEPS: u32 = 20;

/// The size that does not fit, in bytes; any large number will do.
const TOO_MANY_BYTES: u64 = 9_663_676_416;

/// How loading went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadError {
    /// The server cleans up and ends with code 1.
    Refused,
    /// The process dies on the spot.
    Crashed(Crash),
}

/// The memory a loaded model holds.
#[derive(Debug)]
pub(super) struct Loaded {
    _weights: Vec<u8>,
}

/// Returns the model's name for messages.
pub(super) fn model_name(settings: &Settings) -> &str {
    settings.model.as_deref().unwrap_or("simulated.gguf")
}

/// Writes the lines of a load, takes its time, and fails if a failure was ordered.
pub(super) async fn load(settings: &Settings, log: &Log) -> Result<Loaded, LoadError> {
    let model = model_name(settings);
    let server = |text: &str| log.server(Level::Info, "srv", "load_model", text);
    server(&format!("loading model '{model}'"));
    let failure = failure(settings);
    if let Some(failure) = failure
        && fails_at_once(failure)
    {
        return Err(fail(failure, settings, log));
    }
    let trace = |text: &str| log.line(Level::Trace, text);
    trace(&format!(
        "llama_model_loader: loaded meta data with 20 key-value pairs and 291 tensors from {model} (version GGUF V3 (latest))"
    ));
    trace("print_info: general.name          = simulated, no model is loaded");
    trace("load_tensors: loading model tensors, this can take a while... (load_mode = mmap)");
    for device in &settings.devices {
        trace(&format!(
            "load_tensors: offloading 32 repeating layers to {device}"
        ));
    }
    if !settings.devices.is_empty() {
        let layers = match settings.gpu_layers.as_str() {
            "auto" | "all" | "-1" => "33",
            number => number,
        };
        trace(&format!(
            "load_tensors: offloaded {layers}/33 layers to GPU"
        ));
    }
    for buffer in buffers(settings) {
        trace(&format!(
            "load_tensors:   {buffer} model buffer size =  4437.80 MiB"
        ));
    }
    progress(settings.faults.load_time, log).await;
    if let Some(failure) = failure {
        return Err(fail(failure, settings, log));
    }
    // Written, not only reserved: pages that nobody wrote would not be resident.
    let weights = vec![1_u8; settings.faults.resident_mib.saturating_mul(1 << 20)];
    let context = settings.context;
    let slots = settings.slots;
    let slot_context = slot_context(settings);
    let unified = settings.kv_cache == KvCache::Unified;
    trace(&format!("llama_context: n_seq_max             = {slots}"));
    trace(&format!("llama_context: n_ctx                 = {context}"));
    for buffer in buffers(settings) {
        trace(&format!(
            "llama_kv_cache: {buffer:>10} KV buffer size =   512.00 MiB"
        ));
    }
    for buffer in buffers(settings) {
        trace(&format!(
            "sched_reserve: {buffer:>10} compute buffer size =   258.50 MiB"
        ));
    }
    let threads = settings.threads;
    log.server(
        Level::Info,
        "cmn",
        "init",
        &format!("llama threadpool init, n_threads = {threads}"),
    );
    log.server(
        Level::Trace,
        "cmn",
        "common_init_",
        "warming up the model with an empty run - please wait ... (--no-warmup to disable)",
    );
    server(&format!(
        "initializing, n_slots = {slots}, n_ctx_slot = {slot_context}, kv_unified = '{unified}'"
    ));
    Ok(Loaded { _weights: weights })
}

/// Returns the context of one slot.
pub(super) fn slot_context(settings: &Settings) -> u32 {
    match settings.kv_cache {
        KvCache::Unified => settings.context,
        KvCache::Split => {
            let slots = u32::try_from(settings.slots).unwrap_or(u32::MAX);
            settings.context / slots.max(1)
        }
    }
}

/// Takes the time of the load, with dots where the log shows them.
async fn progress(load_time: Duration, log: &Log) {
    let start = Instant::now();
    let steps = if log.shows(Level::Trace) { STEPS } else { 1 };
    for step in 1..=steps {
        if load_time > Duration::ZERO {
            sleep_until(start + load_time * step / steps).await;
        }
        log.progress(".....");
    }
    log.progress("\n");
}

fn failure(settings: &Settings) -> Option<LoadFailure> {
    let faults = &settings.faults;
    let missing = faults.need_model && !Path::new(model_name(settings)).is_file();
    let missing = missing.then_some(LoadFailure::MissingFile);
    faults.load_failure.or(missing)
}

/// Returns whether the failure shows before any tensor is read.
fn fails_at_once(failure: LoadFailure) -> bool {
    match failure {
        LoadFailure::MissingFile
        | LoadFailure::BadMagic
        | LoadFailure::Corrupt
        | LoadFailure::UnknownArchitecture
        | LoadFailure::InvalidDevice => true,
        LoadFailure::OutOfMemory
        | LoadFailure::CudaOutOfMemory
        | LoadFailure::VulkanOutOfMemory
        | LoadFailure::KvCache
        | LoadFailure::ComputeBuffers
        | LoadFailure::Assert => false,
    }
}

/// Where tensors go: every device, or the host.
fn buffers(settings: &Settings) -> Vec<&str> {
    if settings.devices.is_empty() {
        vec!["CPU"]
    } else {
        settings.devices.iter().map(String::as_str).collect()
    }
}

/// Writes llama-server's own messages for a failure.
fn fail(failure: LoadFailure, settings: &Settings, log: &Log) -> LoadError {
    if failure == LoadFailure::Assert {
        return LoadError::Crashed(Crash::Assert);
    }
    for line in messages(failure, model_name(settings), &buffers(settings)) {
        // The Vulkan library writes past llama-server's log, so its lines have no prefix.
        if line.starts_with("ggml_vulkan: ") {
            logfmt::write_stderr(&format!("{line}\n"));
        } else {
            log.line(Level::Error, &line);
        }
    }
    LoadError::Refused
}

fn messages(failure: LoadFailure, model: &str, buffers: &[&str]) -> Vec<String> {
    let buffer = buffers.first().copied().unwrap_or("CPU");
    let bytes = TOO_MANY_BYTES;
    let alloc = |buffer: &str| {
        format!("alloc_tensor_range: failed to allocate {buffer} buffer of size {bytes}")
    };
    let model_error = |cause: &str| format!("llama_model_load: error loading model: {cause}");
    let no_buffer = |buffer: &str| model_error(&format!("unable to allocate {buffer} buffer"));
    let not_loaded = || {
        model_error(&format!(
            "llama_model_loader: failed to load model from {model}"
        ))
    };
    let mut lines = match failure {
        LoadFailure::MissingFile => vec![
            format!("gguf_init_from_file: failed to open GGUF file '{model}' (No such file or directory)"),
            not_loaded(),
        ],
        LoadFailure::BadMagic => vec![
            "gguf_init_from_reader: invalid magic characters: '????', expected 'GGUF'".to_owned(),
            not_loaded(),
        ],
        LoadFailure::Corrupt => vec![model_error(
            "tensor 'blk.0.ffn_up.weight' data is not within the file bounds, model is corrupted or incomplete",
        )],
        LoadFailure::UnknownArchitecture => {
            vec![model_error("unknown model architecture: 'simulated'")]
        }
        LoadFailure::OutOfMemory => vec![
            "ggml_aligned_malloc: insufficient memory (attempted to allocate 9216.00 MB)".to_owned(),
            format!("ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size {bytes}"),
            alloc(buffer),
            no_buffer(buffer),
        ],
        LoadFailure::CudaOutOfMemory => vec![
            "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9216.00 MiB on device 0: cudaMalloc failed: out of memory".to_owned(),
            alloc("CUDA0"),
            no_buffer("CUDA0"),
        ],
        LoadFailure::VulkanOutOfMemory => vec![
            format!("ggml_vulkan: Device memory allocation of size {bytes} failed."),
            "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory".to_owned(),
            alloc("Vulkan0"),
            no_buffer("Vulkan0"),
        ],
        LoadFailure::KvCache => vec![
            alloc(buffer),
            context_error("failed to allocate buffer for kv cache"),
        ],
        LoadFailure::ComputeBuffers => vec![
            format!("ggml_gallocr_reserve_n_impl: failed to allocate {buffer} buffer of size {bytes}"),
            context_error("failed to allocate compute pp buffers"),
        ],
        // These two never come here: one is refused with the arguments, the other dies at once.
        LoadFailure::InvalidDevice | LoadFailure::Assert => Vec::new(),
    };
    let server = |function: &str, text: &str| format!("srv  {function:>12}: {text}");
    match failure {
        LoadFailure::KvCache | LoadFailure::ComputeBuffers => {
            let text = format!("failed to create context with model '{model}'");
            lines.push(format!("cmn  common_init_: {text}"));
            lines.push(server(
                "load_model",
                &format!("failed to create_context with model '{model}'"),
            ));
        }
        LoadFailure::MissingFile
        | LoadFailure::BadMagic
        | LoadFailure::Corrupt
        | LoadFailure::UnknownArchitecture
        | LoadFailure::OutOfMemory
        | LoadFailure::CudaOutOfMemory
        | LoadFailure::VulkanOutOfMemory
        | LoadFailure::InvalidDevice
        | LoadFailure::Assert => {
            lines.push("llama_model_load_from_file_impl: failed to load model".to_owned());
            lines.push(format!("cmn  common_init_: failed to load model '{model}'"));
            lines.push(server(
                "load_model",
                &format!("failed to load model, '{model}'"),
            ));
        }
    }
    lines
}

fn context_error(cause: &str) -> String {
    format!("llama_init_from_model: failed to initialize the context: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_say_what_the_real_server_says() {
        for (failure, first, cause, last) in [
            (
                LoadFailure::MissingFile,
                "gguf_init_from_file: failed to open GGUF file 'a.gguf' (No such file or directory)",
                "failed to load model from a.gguf",
                "srv    load_model: failed to load model, 'a.gguf'",
            ),
            (
                LoadFailure::BadMagic,
                "gguf_init_from_reader: invalid magic characters: '????', expected 'GGUF'",
                "failed to load model from a.gguf",
                "srv    load_model: failed to load model, 'a.gguf'",
            ),
            (
                LoadFailure::UnknownArchitecture,
                "llama_model_load: error loading model: unknown model architecture: 'simulated'",
                "unknown model architecture",
                "srv    load_model: failed to load model, 'a.gguf'",
            ),
            (
                LoadFailure::OutOfMemory,
                "ggml_aligned_malloc: insufficient memory (attempted to allocate 9216.00 MB)",
                "unable to allocate CPU buffer",
                "srv    load_model: failed to load model, 'a.gguf'",
            ),
            (
                LoadFailure::VulkanOutOfMemory,
                "ggml_vulkan: Device memory allocation of size 9663676416 failed.",
                "ErrorOutOfDeviceMemory",
                "srv    load_model: failed to load model, 'a.gguf'",
            ),
            (
                LoadFailure::CudaOutOfMemory,
                "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9216.00 MiB on device 0: cudaMalloc failed: out of memory",
                "unable to allocate CUDA0 buffer",
                "srv    load_model: failed to load model, 'a.gguf'",
            ),
            (
                LoadFailure::KvCache,
                "alloc_tensor_range: failed to allocate CPU buffer of size 9663676416",
                "failed to initialize the context: failed to allocate buffer for kv cache",
                "srv    load_model: failed to create_context with model 'a.gguf'",
            ),
            (
                LoadFailure::ComputeBuffers,
                "ggml_gallocr_reserve_n_impl: failed to allocate CPU buffer of size 9663676416",
                "failed to allocate compute pp buffers",
                "srv    load_model: failed to create_context with model 'a.gguf'",
            ),
        ] {
            let lines = messages(failure, "a.gguf", &["CPU"]);
            assert_eq!(lines.first().map(String::as_str), Some(first));
            assert!(lines.iter().any(|line| line.contains(cause)), "{lines:?}");
            assert_eq!(lines.last().map(String::as_str), Some(last));
        }
    }
}
