//! What a server's command line and environment mean for its memory.

use std::collections::BTreeMap;

use crate::domain::gguf::{F16, TensorType};

/// llama-server's own choice of `--batch-size`.
const BATCH: u64 = 2048;

/// llama-server's own choice of `--ubatch-size`.
const UBATCH: u64 = 512;

/// What llama-server chooses without `--parallel`; its slots then share one cache.
const AUTO_PARALLEL: u64 = 4;

/// llama-server's own choice of `--cache-ram`, in MiB.
const CACHE_RAM: i64 = 8192;

/// The flags that decide how much memory a server takes, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Flags {
    /// The file of the model; `None` when it is fetched, or when there is none.
    pub model: Option<String>,
    /// Tokens; 0 takes the model's own.
    pub context: u64,
    pub parallel: u64,
    pub unified: bool,
    pub batch: u64,
    pub ubatch: u64,
    pub cache_k: TensorType,
    pub cache_v: TensorType,
    pub flash_attention: bool,
    pub swa_full: bool,
    pub gpu_layers: GpuLayers,
    pub devices: Devices,
    pub split: Split,
    pub main_gpu: usize,
    /// Shares of the devices; empty divides by free memory.
    pub tensor_split: Vec<f64>,
    /// Layers whose experts stay on the host.
    pub cpu_moe: u64,
    /// Layers whose dense feed-forward part stays on the host.
    pub cpu_ffn: u64,
    pub offload_cache: bool,
    pub mapping: Mapping,
    pub locked: bool,
    pub embedding: bool,
    pub mmproj: Option<String>,
    pub mmproj_offload: bool,
    pub draft: Option<Draft>,
    pub loras: Vec<String>,
    /// Bytes that saved prompts may take on the host; `None` means without limit.
    pub cache_ram: Option<u64>,
    /// Why the sum will be less exact, in words.
    pub doubts: Vec<String>,
}

/// A second model that drafts for the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub model: String,
    pub gpu_layers: GpuLayers,
    pub cache_k: TensorType,
    pub cache_v: TensorType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuLayers {
    /// All of them, unless the server finds out that they do not fit.
    Auto,
    All,
    Count(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devices {
    Every,
    None,
    Named(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    None,
    Layer,
    Row,
}

/// How the weights come into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// The host's part stays in the file and is read as needed.
    Mapped,
    Loaded,
}

/// What one flag sets.
#[derive(Clone, Copy)]
enum Set {
    /// Takes the following word.
    Value(fn(&mut Flags, &str)),
    Switch(fn(&mut Flags)),
    /// Takes the following word only if it reads as on, off or auto: older builds take none.
    Choice(fn(&mut Flags, Option<&str>)),
}

/// Each flag with all its spellings, and the variable that stands for it.
const TABLE: &[(&[&str], &str, Set)] = &[
    (
        &["-m", "--model"],
        "LLAMA_ARG_MODEL",
        Set::Value(|flags, word| flags.model = Some(word.to_owned())),
    ),
    (
        &["-c", "--ctx-size"],
        "LLAMA_ARG_CTX_SIZE",
        Set::Value(|flags, word| number(word, &mut flags.context)),
    ),
    (
        &["-np", "--parallel"],
        "LLAMA_ARG_N_PARALLEL",
        Set::Value(set_parallel),
    ),
    (
        &["-kvu", "--kv-unified"],
        "LLAMA_ARG_KV_UNIFIED",
        Set::Switch(|flags| flags.unified = true),
    ),
    (
        &["-no-kvu", "--no-kv-unified"],
        "",
        Set::Switch(|flags| flags.unified = false),
    ),
    (
        &["-b", "--batch-size"],
        "LLAMA_ARG_BATCH",
        Set::Value(|flags, word| number(word, &mut flags.batch)),
    ),
    (
        &["-ub", "--ubatch-size"],
        "LLAMA_ARG_UBATCH",
        Set::Value(|flags, word| number(word, &mut flags.ubatch)),
    ),
    (
        &["-ctk", "--cache-type-k"],
        "LLAMA_ARG_CACHE_TYPE_K",
        Set::Value(|flags, word| kind(word, &mut flags.cache_k)),
    ),
    (
        &["-ctv", "--cache-type-v"],
        "LLAMA_ARG_CACHE_TYPE_V",
        Set::Value(|flags, word| kind(word, &mut flags.cache_v)),
    ),
    (
        &["-fa", "--flash-attn"],
        "LLAMA_ARG_FLASH_ATTN",
        Set::Choice(|flags, word| flags.flash_attention = !word.is_some_and(is_no)),
    ),
    (
        &["--swa-full"],
        "LLAMA_ARG_SWA_FULL",
        Set::Switch(|flags| flags.swa_full = true),
    ),
    (
        &["-ngl", "--gpu-layers", "--n-gpu-layers"],
        "LLAMA_ARG_N_GPU_LAYERS",
        Set::Value(|flags, word| flags.gpu_layers = gpu_layers(word)),
    ),
    (
        &["-dev", "--device"],
        "LLAMA_ARG_DEVICE",
        Set::Value(|flags, word| flags.devices = devices(word)),
    ),
    (
        &["-sm", "--split-mode"],
        "LLAMA_ARG_SPLIT_MODE",
        Set::Value(|flags, word| {
            flags.split = match word {
                "none" => Split::None,
                "row" | "tensor" => Split::Row,
                _ => Split::Layer,
            };
        }),
    ),
    (
        &["-mg", "--main-gpu"],
        "LLAMA_ARG_MAIN_GPU",
        Set::Value(|flags, word| flags.main_gpu = word.parse().unwrap_or(0)),
    ),
    (
        &["-ts", "--tensor-split"],
        "LLAMA_ARG_TENSOR_SPLIT",
        Set::Value(|flags, word| {
            let shares = word
                .split([',', '/'])
                .filter_map(|part| part.trim().parse().ok());
            flags.tensor_split = shares.collect();
        }),
    ),
    (
        &["-cmoe", "--cpu-moe"],
        "LLAMA_ARG_CPU_MOE",
        Set::Switch(|flags| flags.cpu_moe = u64::MAX),
    ),
    (
        &["-ncmoe", "--n-cpu-moe"],
        "LLAMA_ARG_N_CPU_MOE",
        Set::Value(|flags, word| number(word, &mut flags.cpu_moe)),
    ),
    (
        &["-ncffn", "--n-cpu-ffn"],
        "LLAMA_ARG_N_CPU_FFN",
        Set::Value(|flags, word| number(word, &mut flags.cpu_ffn)),
    ),
    (
        &["-ot", "--override-tensor"],
        "LLAMA_ARG_OVERRIDE_TENSOR",
        Set::Value(|flags, _| {
            flags.doubt("--override-tensor moves tensors, which is not counted");
        }),
    ),
    (
        &["-kvo", "--kv-offload"],
        "LLAMA_ARG_KV_OFFLOAD",
        Set::Switch(|flags| flags.offload_cache = true),
    ),
    (
        &["-nkvo", "--no-kv-offload"],
        "LLAMA_ARG_NO_KV_OFFLOAD",
        Set::Switch(|flags| flags.offload_cache = false),
    ),
    (
        &["--mmap"],
        "LLAMA_ARG_MMAP",
        Set::Switch(|flags| flags.mapping = Mapping::Mapped),
    ),
    (
        &["--no-mmap"],
        "LLAMA_ARG_NO_MMAP",
        Set::Switch(|flags| flags.mapping = Mapping::Loaded),
    ),
    (
        &["--mlock"],
        "LLAMA_ARG_MLOCK",
        Set::Switch(|flags| flags.locked = true),
    ),
    (
        &["-lm", "--load-mode"],
        "LLAMA_ARG_LOAD_MODE",
        Set::Value(|flags, word| {
            flags.locked = word.contains("mlock");
            flags.mapping = match word {
                "none" | "mlock" | "dio" => Mapping::Loaded,
                _ => Mapping::Mapped,
            };
        }),
    ),
    (
        &["--embedding", "--embeddings"],
        "LLAMA_ARG_EMBEDDINGS",
        Set::Switch(|flags| flags.embedding = true),
    ),
    (
        &["--rerank", "--reranking"],
        "LLAMA_ARG_RERANKING",
        Set::Switch(|flags| flags.embedding = true),
    ),
    (
        &["-mm", "--mmproj"],
        "LLAMA_ARG_MMPROJ",
        Set::Value(|flags, word| flags.mmproj = Some(word.to_owned())),
    ),
    (
        &["--no-mmproj-offload"],
        "LLAMA_ARG_NO_MMPROJ_OFFLOAD",
        Set::Switch(|flags| flags.mmproj_offload = false),
    ),
    (
        &["-md", "--model-draft", "--spec-draft-model"],
        "LLAMA_ARG_SPEC_DRAFT_MODEL",
        Set::Value(|flags, word| flags.draft().model = word.to_owned()),
    ),
    (
        &[
            "-ngld",
            "--gpu-layers-draft",
            "--n-gpu-layers-draft",
            "--spec-draft-ngl",
        ],
        "LLAMA_ARG_N_GPU_LAYERS_DRAFT",
        Set::Value(|flags, word| flags.draft().gpu_layers = gpu_layers(word)),
    ),
    (
        &["-ctkd", "--cache-type-k-draft", "--spec-draft-type-k"],
        "LLAMA_ARG_SPEC_DRAFT_CACHE_TYPE_K",
        Set::Value(|flags, word| kind(word, &mut flags.draft().cache_k)),
    ),
    (
        &["-ctvd", "--cache-type-v-draft", "--spec-draft-type-v"],
        "LLAMA_ARG_SPEC_DRAFT_CACHE_TYPE_V",
        Set::Value(|flags, word| kind(word, &mut flags.draft().cache_v)),
    ),
    (
        &["--lora"],
        "",
        Set::Value(|flags, word| {
            let files = word.split(',').map(|file| file.trim().to_owned());
            flags.loras.extend(files.filter(|file| !file.is_empty()));
        }),
    ),
    (
        &["-cram", "--cache-ram"],
        "LLAMA_ARG_CACHE_RAM",
        Set::Value(|flags, word| flags.cache_ram = cache_ram(word.parse().unwrap_or(CACHE_RAM))),
    ),
    (
        &["-fit", "--fit"],
        "LLAMA_ARG_FIT",
        Set::Value(|flags, word| {
            if !is_no(word) {
                flags.doubt("-fit on lets the server shrink what it was told until it fits");
            }
        }),
    ),
    (
        &["--rpc"],
        "LLAMA_ARG_RPC",
        Set::Value(|flags, _| {
            flags.doubt("--rpc puts layers on other machines, which is not counted");
        }),
    ),
];

impl Flags {
    /// Reads a command line (without the program) and the variables that stand for flags; the
    /// command line wins, and of a repeated flag the last.
    #[must_use]
    pub fn read(args: &[String], env: &BTreeMap<String, String>) -> Self {
        let mut flags = Self::unset();
        for (_, variable, set) in TABLE {
            let Some(value) = env.get(*variable) else {
                continue;
            };
            match set {
                Set::Value(apply) => apply(&mut flags, value),
                Set::Choice(apply) => apply(&mut flags, Some(value)),
                // Any other value leaves the flag alone.
                Set::Switch(apply) if is_yes(value) => apply(&mut flags),
                Set::Switch(_) => {}
            }
        }
        let mut words = args.iter().peekable();
        while let Some(word) = words.next() {
            let known = TABLE
                .iter()
                .find(|(names, _, _)| names.contains(&word.as_str()));
            match known.map(|(_, _, set)| set) {
                Some(Set::Value(apply)) => {
                    if let Some(value) = words.next() {
                        apply(&mut flags, value);
                    }
                }
                Some(Set::Switch(apply)) => apply(&mut flags),
                Some(Set::Choice(apply)) => {
                    let value = words.next_if(|word| {
                        is_yes(word) || is_no(word) || word.eq_ignore_ascii_case("auto")
                    });
                    apply(&mut flags, value.map(String::as_str));
                }
                None => {}
            }
        }
        flags.settle()
    }

    fn unset() -> Self {
        Self {
            model: None,
            context: 0,
            parallel: 0,
            unified: false,
            batch: BATCH,
            ubatch: UBATCH,
            cache_k: F16,
            cache_v: F16,
            // `auto` turns it on wherever the device can do it.
            flash_attention: true,
            swa_full: false,
            gpu_layers: GpuLayers::Auto,
            devices: Devices::Every,
            split: Split::Layer,
            main_gpu: 0,
            tensor_split: Vec::new(),
            cpu_moe: 0,
            cpu_ffn: 0,
            offload_cache: true,
            mapping: Mapping::Mapped,
            locked: false,
            embedding: false,
            mmproj: None,
            mmproj_offload: true,
            draft: None,
            loras: Vec::new(),
            cache_ram: cache_ram(CACHE_RAM),
            doubts: Vec::new(),
        }
    }

    /// Resolves what depends on other flags, as the server does at its start.
    fn settle(mut self) -> Self {
        if self.parallel == 0 {
            self.parallel = AUTO_PARALLEL;
            self.unified = true;
        }
        if self.embedding {
            // Embeddings need all of a text in one piece.
            self.batch = self.batch.min(self.ubatch);
        }
        self.ubatch = match self.ubatch {
            0 => self.batch,
            ubatch => ubatch.min(self.batch),
        };
        self.draft = self.draft.filter(|draft| !draft.model.is_empty());
        self
    }

    fn draft(&mut self) -> &mut Draft {
        self.draft.get_or_insert(Draft {
            model: String::new(),
            gpu_layers: GpuLayers::Auto,
            cache_k: F16,
            cache_v: F16,
        })
    }

    fn doubt(&mut self, text: &str) {
        self.doubts.push(text.to_owned());
    }
}

fn set_parallel(flags: &mut Flags, word: &str) {
    // -1 is the server's own choice.
    flags.parallel = word.parse().unwrap_or(0);
}

fn number(word: &str, target: &mut u64) {
    // What cannot be read is refused by the server itself, at once and with its own words.
    if let Ok(value) = word.parse() {
        *target = value;
    }
}

fn kind(word: &str, target: &mut TensorType) {
    if let Some(value) = TensorType::named(word) {
        *target = value;
    }
}

fn gpu_layers(word: &str) -> GpuLayers {
    match word.parse::<i64>() {
        Ok(count) => u64::try_from(count).map_or(GpuLayers::Auto, GpuLayers::Count),
        Err(_) if word == "all" => GpuLayers::All,
        Err(_) => GpuLayers::Auto,
    }
}

fn devices(word: &str) -> Devices {
    if word == "none" {
        return Devices::None;
    }
    Devices::Named(word.split(',').map(|name| name.trim().to_owned()).collect())
}

fn cache_ram(mib: i64) -> Option<u64> {
    u64::try_from(mib)
        .ok()
        .map(|mib| mib.saturating_mul(1 << 20))
}

fn is_yes(word: &str) -> bool {
    ["1", "on", "true", "enabled", "yes"].contains(&word)
}

fn is_no(word: &str) -> bool {
    ["0", "off", "false", "disabled", "no"].contains(&word)
}
