//! What only a start can say: flags, files, ports, buffers, libraries.

use super::Meaning;
use crate::domain::autopsy::{Cause, RetryClass};

/// What only a start can say; nothing of it explains the end of a server that had been ready.
pub(in crate::domain::autopsy) const AT_START: &[Meaning] = &[
    Meaning {
        cause: Cause::UnknownFlag,
        class: RetryClass::Never,
        remedy: "llama-server --help lists this build's flags; they change from build to build",
        rows: &[("error: invalid argument: *", "unknown flag {1}")],
    },
    Meaning {
        cause: Cause::InvalidDevice,
        class: RetryClass::Never,
        remedy: "llama-server --list-devices names the devices this build can use",
        rows: &[
            (
                "error while handling argument \"*\": invalid device: *",
                "no device is called {2}",
            ),
            (
                "invalid value for main_gpu: * (available devices: *)",
                "there is no GPU number {1} ({2} available)",
            ),
            (
                "Invalid device index * in GGML_VK_VISIBLE_DEVICES",
                "there is no Vulkan device {1}",
            ),
            (
                "SPLIT_MODE_TENSOR needs >= 1 devices",
                "splitting by tensor needs a device",
            ),
        ],
    },
    Meaning {
        cause: Cause::InvalidArgument,
        class: RetryClass::Never,
        remedy: "correct the value in args or env; llama-server --help says what it takes",
        rows: &[
            (
                "error while handling argument \"*\": error: failed to open file '*'",
                "the file {2} of {1} cannot be opened",
            ),
            (
                "error while handling argument \"*\": sto",
                "the value of {1} is not a number",
            ),
            (
                "error while handling argument \"*\": expected value for argument",
                "the flag {1} has no value",
            ),
            (
                "error while handling argument \"*\": error: *",
                "the value of {1} is refused: {2}",
            ),
            (
                "error while handling argument \"*\": *",
                "the value of {1} is refused: {2}",
            ),
            (
                "error while handling environment variable \"*\": sto",
                "the value of {1} in the environment is not a number",
            ),
            (
                "error while handling environment variable \"*\": *",
                "the value of {1} in the environment is refused: {2}",
            ),
            (
                "the supplied chat template is not supported: *",
                "the chat template is refused: {1}",
            ),
            (
                "quantized V cache requires flash_attn to be enabled",
                "a quantized V cache needs flash attention",
            ),
            (
                "SPLIT_MODE_TENSOR requires flash_attn to be enabled",
                "splitting by tensor needs flash attention",
            ),
            (
                "model does not support different K (*) and V (*) cache types",
                "this model takes no different cache types for K ({1}) and V ({2})",
            ),
            (
                "n_batch and n_ubatch cannot both be zero",
                "the batch size is zero",
            ),
            (
                "cache type * with block size * does not divide *",
                "the cache type {1} does not fit this model",
            ),
            (
                "CLIP cannot be used as main model, use it with --mmproj instead",
                "the model is a vision projector, which belongs to --mmproj",
            ),
            (
                "illegal split file idx: * (file: *), model must be loaded with the first split",
                "{2} is part {1} of a split model; the first part must be named",
            ),
            (
                "--port 0 is not supported with multiple TCP addresses",
                "port 0 cannot be used with several addresses",
            ),
            (
                "HTTPS is not supported. Please rebuild",
                "this build cannot download: it knows no HTTPS",
            ),
            (
                "the server is built without SSL support",
                "this build knows no SSL",
            ),
        ],
    },
    Meaning {
        cause: Cause::ModelMissing,
        class: RetryClass::Never,
        remedy: "check the path and its permissions; relative paths begin at the home",
        rows: &[
            (
                "failed to open GGUF file '*' (*)",
                "the file {1} cannot be opened: {2}",
            ),
            (
                "failed to open '*': *",
                "the file {1} cannot be opened: {2}",
            ),
            ("failed to open *: *", "the file {1} cannot be opened: {2}"),
            (
                "failed to load GGUF split from *",
                "a part of the split model is missing: {1}",
            ),
            // Builds before the autumn of 2026.
            (
                "llama_load_model_from_file: failed to open *",
                "the file {1} cannot be opened",
            ),
        ],
    },
    Meaning {
        cause: Cause::UnknownArchitecture,
        class: RetryClass::Never,
        remedy: "the model is newer than this build: update llama-server",
        rows: &[
            (
                "unknown model architecture: '*'",
                "this build does not know the architecture {1}",
            ),
            (
                "unsupported model architecture: '*'",
                "this build does not support the architecture {1}",
            ),
            (
                "unknown pre-tokenizer type: '*'",
                "this build does not know the tokenizer {1}",
            ),
            (
                "unknown tokenizer: '*'",
                "this build does not know the tokenizer {1}",
            ),
            (
                "this GGUF file is version * but this software only supports up to version *",
                "the model is GGUF version {1}, and this build reads up to {2}",
            ),
            (
                "GGUFv1 is no longer supported",
                "the model is GGUF version 1, which no build reads any more",
            ),
            (
                "has invalid ggml type *. should be",
                "this build does not know the tensor type {1}",
            ),
        ],
    },
    Meaning {
        cause: Cause::ModelDamaged,
        class: RetryClass::Never,
        remedy: "compare its size and checksum with the source, and fetch it again",
        rows: &[
            (
                "invalid magic characters: '*', expected 'GGUF'",
                "the model is no GGUF file: it begins with '{1}'",
            ),
            (
                "tensor '*' data is not within the file bounds",
                "the model file is cut short: {1} lies behind its end",
            ),
            ("failed to read magic", "the model file is empty"),
            (
                "exceeds remaining file size * bytes",
                "the model file is cut short or damaged",
            ),
            (
                "bad GGUF version: *",
                "the model file is damaged: GGUF version {1}",
            ),
            (
                "is extremely large, is there a mismatch",
                "the model file was written for another byte order",
            ),
            (
                "unexpectedly reached end of file",
                "the model file is cut short",
            ),
            ("corrupted model: *", "the model file is damaged: {1}"),
            ("invalid model: *", "the model file is damaged: {1}"),
            (
                "missing tensor '*'",
                "the model file is incomplete: no tensor {1}",
            ),
            (
                "wrong number of tensors; expected *, got *",
                "the model file has {2} tensors instead of {1}",
            ),
            (
                "tensor '*' has invalid data",
                "the model file is damaged: tensor {1}",
            ),
            (
                "found tensors with invalid data",
                "the model file is damaged",
            ),
            (
                "error loading model hyperparameters: *",
                "the model file is damaged or too new: {1}",
            ),
            (
                "error loading model vocabulary: *",
                "the model file is damaged or too new: {1}",
            ),
        ],
    },
    Meaning {
        cause: Cause::ModelDamaged,
        class: RetryClass::Backoff,
        remedy: "the disk or the network file system failed; look at its messages (dmesg)",
        rows: &[(
            "error loading model: read error: *",
            "the model cannot be read: {1}",
        )],
    },
    Meaning {
        cause: Cause::PortInUse,
        class: RetryClass::AfterPortFrees,
        remedy: "stop what listens there, or choose another server.port",
        rows: &[
            (
                "couldn't bind HTTP server socket, hostname: *, port: *",
                "port {2} could not be bound on {1}",
            ),
            // Builds before the spring of 2025.
            (
                "couldn't bind to server socket: hostname=* port=*",
                "port {2} could not be bound on {1}",
            ),
            (
                "couldn't start HTTP listener on *",
                "nothing could be bound at {1}",
            ),
        ],
    },
    Meaning {
        cause: Cause::OutOfMemory,
        class: RetryClass::Backoff,
        remedy: "a smaller model.context_size or model needs less; so does stopping other instances",
        rows: &[
            // Buffers of the host: CPU, CPU_REPACK, CUDA_Host, Vulkan_Host …
            (
                "failed to allocate CPU* buffer of size *",
                "out of memory: {2:size} wanted",
            ),
            (
                "failed to allocate *_Host buffer of size *",
                "out of memory: {2:size} wanted",
            ),
            (
                "insufficient memory (attempted to allocate * MB)",
                "out of memory: {1} MiB wanted",
            ),
            (
                "mmap failed: Cannot allocate memory",
                "out of memory: the model cannot be mapped",
            ),
        ],
    },
    Meaning {
        cause: Cause::OutOfVram,
        class: RetryClass::AfterVramFrees,
        remedy: "fewer gpu.layers, a smaller model.context_size or a quantized KV cache need less; \
                 so does stopping what else uses the device",
        rows: &[(
            "failed to allocate * buffer of size *",
            "out of VRAM: {2:size} wanted on {1}",
        )],
    },
    Meaning {
        cause: Cause::LibraryMissing,
        class: RetryClass::Never,
        remedy: "install the library, or use a build for this system; ldd shows what is missing",
        rows: &[
            (
                "error while loading shared libraries: *: *",
                "the library {1} is missing ({2})",
            ),
            (
                "symbol lookup error: *: *",
                "a library does not fit this build: {2}",
            ),
            (
                "version `*' not found (required by *)",
                "this system's libraries are too old: {1} is wanted",
            ),
            (
                "no backends are loaded",
                "the build found none of its backends",
            ),
            ("no CPU backend found", "the build found no CPU backend"),
        ],
    },
    Meaning {
        cause: Cause::DownloadFailed,
        class: RetryClass::Backoff,
        remedy: "check the network and the name of the repository, or fetch the model by hand",
        rows: &[
            (
                "failed to download model: *",
                "the model could not be fetched: {1}",
            ),
            (
                "download failed after * attempts",
                "the model could not be fetched in {1} attempts",
            ),
            ("download failed: *", "the model could not be fetched: {1}"),
            (
                "no GGUF files found in repository *",
                "the repository {1} has no GGUF file",
            ),
            (
                "required file is not available in cache (offline mode): *",
                "offline, and not in the cache: {1}",
            ),
        ],
    },
];
