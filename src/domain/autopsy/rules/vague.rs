//! What says that a start failed but hardly why, the more telling first.

use super::Meaning;
use crate::domain::autopsy::{Cause, RetryClass};

/// What to do when nothing else is known.
const LOG: &str = "its log says more: llama-orch logs NAME";

/// What says that a start failed but hardly why; used when nothing above fits.
pub(in crate::domain::autopsy) const VAGUE: &[Meaning] = &[
    Meaning {
        cause: Cause::ModelDamaged,
        class: RetryClass::Never,
        remedy: "compare its size and checksum with the source, and fetch it again",
        rows: &[
            (
                "gguf_init_from_reader: failed to read *",
                "the model file is damaged: its {1} cannot be read",
            ),
            (
                "gguf_init_from_file_impl: failed to read *",
                "the model file is damaged: its {1} cannot be read",
            ),
        ],
    },
    Meaning {
        cause: Cause::OutOfMemory,
        class: RetryClass::Backoff,
        remedy: "a smaller model.context_size or model needs less; so does stopping other instances",
        rows: &[(
            "unable to allocate CPU* buffer",
            "out of memory: the weights do not fit",
        )],
    },
    Meaning {
        cause: Cause::OutOfVram,
        class: RetryClass::AfterVramFrees,
        remedy: "fewer gpu.layers, a smaller model.context_size or a quantized KV cache need less; \
                 so does stopping what else uses the device",
        rows: &[
            (
                "unable to allocate * buffer",
                "out of VRAM: the weights do not fit on {1}",
            ),
            (
                "failed to allocate buffer for * cache",
                "no memory for the {1} cache",
            ),
            (
                "failed to allocate compute * buffers",
                "no memory for the compute buffers",
            ),
            (
                "failed to allocate compute buffers",
                "no memory for the compute buffers",
            ),
        ],
    },
    Meaning {
        cause: Cause::Unexplained,
        class: RetryClass::Backoff,
        remedy: LOG,
        rows: &[
            (
                "failed to load draft model, '*'",
                "the draft model {1} cannot be loaded",
            ),
            (
                "failed to load multimodal model, '*'",
                "the projector {1} cannot be loaded",
            ),
            (
                "failed to load lora adapter '*'",
                "the adapter {1} cannot be loaded",
            ),
        ],
    },
    Meaning {
        cause: Cause::Unexplained,
        class: RetryClass::Backoff,
        remedy: LOG,
        rows: &[
            ("error loading model: *", "the model cannot be loaded: {1}"),
            (
                "failed to initialize the context: *",
                "the context cannot be made: {1}",
            ),
            (
                "llama_init_from_model: *",
                "the context cannot be made: {1}",
            ),
        ],
    },
    Meaning {
        cause: Cause::Unexplained,
        class: RetryClass::Backoff,
        remedy: LOG,
        rows: &[
            (
                "failed to create_context with model '*'",
                "the context cannot be made",
            ),
            (
                "failed to load model, '*'",
                "the model {1} cannot be loaded",
            ),
            (
                "exiting due to model loading error",
                "the model cannot be loaded",
            ),
            (
                "exiting due to HTTP server error",
                "its HTTP server cannot start",
            ),
        ],
    },
];
