//! What can happen at any time: devices, memory, and checks that fail.

use super::Meaning;
use crate::domain::autopsy::{Cause, RetryClass};

/// What can happen at any time; the last such line of a run explains its end.
pub(in crate::domain::autopsy) const AT_ANY_TIME: &[Meaning] = &[
    Meaning {
        cause: Cause::OutOfVram,
        class: RetryClass::AfterVramFrees,
        remedy: "fewer gpu.layers, a smaller model.context_size or a quantized KV cache need less; \
                 so does stopping what else uses the device",
        rows: &[
            // From the sources: CUDA and HIP share this text.
            (
                "allocating * MiB on device *: cudaMalloc failed: *",
                "out of VRAM: {1} MiB wanted on device {2} ({3})",
            ),
            (
                "CUDA error: out of memory",
                "out of VRAM on the CUDA device",
            ),
            (
                "ROCm error: out of memory",
                "out of VRAM on the ROCm device",
            ),
            (
                "Device memory allocation of size * failed",
                "out of VRAM: {1:size} wanted on the Vulkan device",
            ),
            ("ErrorOutOfDeviceMemory", "out of VRAM on the Vulkan device"),
            (
                "Requested buffer size exceeds device buffer size limit",
                "the Vulkan device gives no buffer of the wanted size",
            ),
            (
                "can't allocate * Bytes of memory on device",
                "out of VRAM: {1:size} wanted on the SYCL device",
            ),
        ],
    },
    Meaning {
        cause: Cause::DeviceError,
        class: RetryClass::Backoff,
        remedy: "look at the driver's messages (dmesg, journalctl -k); if it comes again, update \
                 the driver or the build",
        rows: &[
            ("CUDA error: *", "the CUDA device failed: {1}"),
            ("ROCm error: *", "the ROCm device failed: {1}"),
            ("MUSA error: *", "the MUSA device failed: {1}"),
            ("device lost on *", "the Vulkan device {1} was lost"),
            ("ErrorDeviceLost", "the Vulkan device was lost"),
            ("vk::DeviceLostError", "the Vulkan device was lost"),
            (
                "error: command buffer * failed with status *",
                "the Metal device failed: command buffer {1}, status {2}",
            ),
        ],
    },
    Meaning {
        cause: Cause::OutOfMemory,
        class: RetryClass::Backoff,
        remedy: "a smaller model.context_size or model needs less; so does stopping other instances",
        rows: &[
            ("std::bad_alloc", "out of memory: an allocation was refused"),
            (
                "what():  Resource temporarily unavailable",
                "out of memory or threads: the system refused a new thread",
            ),
            (
                "what():  Cannot allocate memory",
                "out of memory: the system refused it",
            ),
        ],
    },
    Meaning {
        cause: Cause::Assertion,
        class: RetryClass::Backoff,
        remedy: "a defect of this build or of the model file; another build may not have it",
        rows: &[
            (
                "*: GGML_ASSERT(*) failed",
                "a check inside llama-server failed: {2}",
            ),
            (
                "what():  *",
                "an error inside llama-server was not caught: {1}",
            ),
            (
                "terminate called after throwing an instance of '*'",
                "an error inside llama-server was not caught: {1}",
            ),
        ],
    },
];
