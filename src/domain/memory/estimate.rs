//! What a server will allocate: weights, caches and working memory, and on which device.

use super::flags::{Devices, Draft, Flags, GpuLayers, Mapping, Split};
use super::layers::{self, LayerCache, Layers};
use crate::domain::gguf::{ModelHeader, Tensor, TensorType};

/// llama-server itself, with its libraries, vocabulary and buffers for requests.
const SERVER: u64 = 64 << 20;

/// What a GPU's driver takes for a process that uses the GPU at all.
const DRIVER_CONTEXT: u64 = 300 << 20;

/// llama.cpp rounds the cells of a cache up to this.
const CELLS: u64 = 256;

/// Numbers of an intermediate result are 32 bits wide.
const WIDE: u64 = 4;

/// Those of a mask for flash attention are 16 bits wide.
const HALF: u64 = 2;

/// Everything the sum is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub model: &'a ModelHeader,
    pub draft: Option<&'a ModelHeader>,
    /// Bytes of the projector for pictures and sound.
    pub mmproj: u64,
    /// Bytes of all adapters.
    pub loras: u64,
    pub flags: &'a Flags,
    /// The GPUs that the server will use, with the share of the layers that each would get when
    /// nothing else is said: its free memory.
    pub shares: &'a [f64],
}

/// What goes to one place, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    pub weights: u64,
    /// Keys and values of past tokens.
    pub cache: u64,
    /// What recurrent layers keep of each sequence.
    pub state: u64,
    /// Working memory; the least certain part.
    pub compute: u64,
    /// The server itself, a driver's context, a projector, adapters.
    pub other: u64,
}

/// The whole sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    pub host: Need,
    /// In the order of [`Inputs::shares`].
    pub devices: Vec<Need>,
    /// Bytes of the host's weights that stay in the file and can be read again at any time.
    pub mapped: u64,
    /// Tokens that all slots together may hold.
    pub context: u64,
    /// Layers on a device, the output counted as one, and how many there are.
    pub offloaded: (u64, u64),
    /// Working memory that builds before 2026 need on top, for the probabilities of a whole batch.
    pub older: u64,
    pub doubts: Vec<String>,
}

impl Need {
    #[must_use]
    pub fn total(&self) -> u64 {
        [
            self.weights,
            self.cache,
            self.state,
            self.compute,
            self.other,
        ]
        .iter()
        .fold(0, |sum, part| sum.saturating_add(*part))
    }

    fn add(&mut self, other: &Self) {
        self.weights = self.weights.saturating_add(other.weights);
        self.cache = self.cache.saturating_add(other.cache);
        self.state = self.state.saturating_add(other.state);
        self.compute = self.compute.saturating_add(other.compute);
        self.other = self.other.saturating_add(other.other);
    }
}

/// Where something lives: `None` is the host.
type Place = Option<usize>;

/// One model on its way into memory.
struct Plan<'a> {
    model: &'a ModelHeader,
    flags: &'a Flags,
    layers: Layers,
    /// The first layer on a device.
    first_on_device: u64,
    /// Cumulated shares of the devices, up to 1.
    splits: Vec<f64>,
    context: Context,
}

/// The sizes that depend on context and slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Context {
    /// Cells of one stream's cache.
    cells: u64,
    streams: u64,
    slots: u64,
    /// Tokens computed at once.
    ubatch: u64,
}

/// Adds everything up; `None` when the header lacks what every language model's has.
#[must_use]
pub fn estimate(inputs: &Inputs<'_>) -> Option<Estimate> {
    let mut sum = one_model(inputs, inputs.model, inputs.flags)?;
    if let (Some(model), Some(draft)) = (inputs.draft, &inputs.flags.draft) {
        let flags = draft_flags(inputs.flags, draft);
        let drafting = one_model(inputs, model, &flags)?;
        sum.host.add(&drafting.host);
        for (device, more) in sum.devices.iter_mut().zip(&drafting.devices) {
            device.add(more);
        }
        sum.mapped = sum.mapped.saturating_add(drafting.mapped);
        sum.doubts.extend(drafting.doubts);
    }
    sum.host.other = sum.host.other.saturating_add(SERVER);
    let projector = match sum.devices.first_mut() {
        Some(device) if inputs.flags.mmproj_offload => device,
        Some(_) | None => &mut sum.host,
    };
    projector.other = projector.other.saturating_add(inputs.mmproj);
    if inputs.mmproj > 0 {
        let text = "the projector's working memory grows with the pictures, which is not counted";
        sum.doubts.push(text.to_owned());
    }
    sum.host.other = sum.host.other.saturating_add(inputs.loras);
    for device in &mut sum.devices {
        if device.total() > 0 {
            device.other = device.other.saturating_add(DRIVER_CONTEXT);
        }
    }
    sum.doubts.extend(inputs.flags.doubts.iter().cloned());
    Some(sum)
}

fn draft_flags(flags: &Flags, draft: &Draft) -> Flags {
    Flags {
        gpu_layers: draft.gpu_layers,
        cache_k: draft.cache_k,
        cache_v: draft.cache_v,
        cpu_moe: 0,
        cpu_ffn: 0,
        draft: None,
        doubts: Vec::new(),
        ..flags.clone()
    }
}

fn one_model(inputs: &Inputs<'_>, model: &ModelHeader, flags: &Flags) -> Option<Estimate> {
    let plan = Plan::new(inputs, model, flags)?;
    let mut host = Need::default();
    let mut devices = vec![Need::default(); plan.splits.len()];
    let mut put = |place: Place, need: &Need| match place {
        None => host.add(need),
        Some(index) => devices[index].add(need),
    };
    for tensor in &model.tensors {
        let weights = Need {
            weights: tensor.bytes,
            ..Need::default()
        };
        put(plan.place_of(tensor), &weights);
        // The output of many models is their input once more, and a device needs its own copy.
        if tensor.name == "token_embd.weight" && plan.is_tied() {
            let place = plan.output();
            if place.is_some() {
                put(place, &weights);
            }
        }
    }
    for (index, layer) in (0..).zip(&plan.layers.layers) {
        let place = if flags.offload_cache {
            plan.layer(index)
        } else {
            None
        };
        put(place, &plan.remembered(*layer));
    }
    let compute = plan.compute();
    let on_device = plan.offloaded();
    // Every place that computes a layer needs the working memory of one.
    let places = (0..=plan.layers.count).map(|layer| plan.layer(layer));
    let mut busy: Vec<Place> = places.collect();
    busy.sort_unstable();
    busy.dedup();
    for place in busy {
        let need = Need {
            compute,
            ..Need::default()
        };
        put(place, &need);
    }
    if on_device > plan.layers.count {
        // The host still looks tokens up and hands them over.
        put(
            None,
            &Need {
                compute: plan.inputs(),
                ..Need::default()
            },
        );
    }
    let mapped = match flags.mapping {
        Mapping::Mapped if !flags.locked => host.weights,
        Mapping::Mapped | Mapping::Loaded => 0,
    };
    Some(Estimate {
        mapped,
        context: plan.context.cells.saturating_mul(plan.context.streams),
        offloaded: (on_device, plan.layers.count + 1),
        older: product(&[plan.context.ubatch, vocabulary(model), WIDE]),
        doubts: plan.layers.doubts,
        host,
        devices,
    })
}

impl<'a> Plan<'a> {
    fn new(inputs: &Inputs<'_>, model: &'a ModelHeader, flags: &'a Flags) -> Option<Self> {
        let layers = layers::layers(model)?;
        let all = layers.count + 1;
        let wanted = match flags.gpu_layers {
            GpuLayers::Auto | GpuLayers::All => all,
            GpuLayers::Count(count) => count.min(all),
        };
        let has_device = !inputs.shares.is_empty() && flags.devices != Devices::None;
        let on_device = if has_device { wanted } else { 0 };
        Some(Self {
            model,
            flags,
            first_on_device: all - on_device,
            splits: splits(inputs.shares, flags),
            context: Context::new(model, flags)?,
            layers,
        })
    }

    fn offloaded(&self) -> u64 {
        self.layers.count + 1 - self.first_on_device
    }

    /// Returns where a layer is; the output counts as the one after the last.
    fn layer(&self, layer: u64) -> Place {
        if layer < self.first_on_device {
            return None;
        }
        let share = (layer - self.first_on_device) as f64 / self.offloaded() as f64;
        let index = self.splits.partition_point(|split| *split <= share);
        Some(index.min(self.splits.len().checked_sub(1)?))
    }

    fn output(&self) -> Place {
        self.layer(self.layers.count)
    }

    fn is_tied(&self) -> bool {
        !self
            .model
            .tensors
            .iter()
            .any(|tensor| tensor.name == "output.weight")
    }

    fn place_of(&self, tensor: &Tensor) -> Place {
        let name = tensor.name.as_str();
        let Some(layer) = tensor.layer() else {
            let is_input = [
                "token_embd",
                "token_types",
                "position_embd",
                "per_layer_token_embd",
                "masked_embd",
            ]
            .iter()
            .any(|input| name.starts_with(input));
            return if is_input { None } else { self.output() };
        };
        let kept = (is_expert(name) && layer < self.flags.cpu_moe)
            || (is_dense(name) && layer < self.flags.cpu_ffn);
        if kept { None } else { self.layer(layer) }
    }

    fn remembered(&self, layer: LayerCache) -> Need {
        let cells = match layer.window {
            Some(window) => self.context.windowed(window, self.flags),
            None => self.context.cells,
        };
        let row = |kind: TensorType, numbers: u64| kind.bytes(numbers).unwrap_or(u64::MAX);
        let keys = row(self.flags.cache_k, layer.keys);
        let values = row(self.flags.cache_v, layer.values);
        Need {
            cache: product(&[keys.saturating_add(values), cells, self.context.streams]),
            state: product(&[layer.state, WIDE, self.context.slots]),
            ..Need::default()
        }
    }

    /// Estimates the working memory: the largest part of one layer, and the masks of attention.
    fn compute(&self) -> u64 {
        let model = self.model;
        let embedding = model.number("embedding_length").unwrap_or(0);
        let count = usize::try_from(self.layers.count).unwrap_or(0);
        let per_layer = |key: &str| model.largest_per_layer(key, count).unwrap_or(0);
        let dense = per_layer("feed_forward_length");
        let expert = match per_layer("expert_feed_forward_length") {
            0 => dense,
            length => length,
        };
        let used = per_layer("expert_used_count");
        let shared = per_layer("expert_shared_feed_forward_length");
        let forward = dense.max(product(&[expert, used]).saturating_add(shared));
        let heads = per_layer("attention.head_count");
        let widest =
            |part: fn(&LayerCache) -> u64| self.layers.layers.iter().map(part).max().unwrap_or(0);
        let keys = widest(|layer| layer.keys);
        let head = model
            .number("attention.key_length")
            .unwrap_or_else(|| embedding.checked_div(heads).unwrap_or(0));
        let queries = product(&[heads, head]);
        let rows = |numbers: u64| product(&[numbers, self.context.ubatch, WIDE]);
        let feeding = rows(product(&[3, forward]).saturating_add(product(&[4, embedding])));
        let mut attending = rows(
            product(&[2, queries.saturating_add(keys)]).saturating_add(product(&[3, embedding])),
        );
        let cells = self.attended();
        if !self.flags.flash_attention {
            let looked_at = cells.iter().copied().max().unwrap_or(0);
            attending = attending.saturating_add(rows(product(&[heads, looked_at])));
        }
        let width = if self.flags.flash_attention {
            HALF
        } else {
            WIDE
        };
        let masks: u64 = cells
            .iter()
            .map(|cells| product(&[*cells, self.context.ubatch, width]))
            .fold(0, u64::saturating_add);
        let outputs = if self.flags.embedding {
            0
        } else {
            product(&[self.context.slots, vocabulary(model), WIDE])
        };
        feeding
            .max(attending)
            .saturating_add(masks)
            .saturating_add(outputs)
    }

    /// Returns the cells that attention looks at: of the whole cache, and of that with a window.
    fn attended(&self) -> Vec<u64> {
        let keeping = || self.layers.layers.iter().filter(|layer| layer.keys > 0);
        let whole = keeping().any(|layer| layer.window.is_none());
        let window = keeping().find_map(|layer| layer.window);
        let mut cells = Vec::new();
        cells.extend(whole.then_some(self.context.cells));
        cells.extend(window.map(|window| self.context.windowed(window, self.flags)));
        if cells.is_empty() && self.layers.layers.iter().all(|layer| layer.state == 0) {
            // A model that keeps nothing looks at all that it is given at once.
            cells.push(self.context.ubatch);
        }
        cells
    }

    fn inputs(&self) -> u64 {
        let embedding = self.model.number("embedding_length").unwrap_or(0);
        product(&[embedding, self.context.ubatch, WIDE])
    }
}

impl Context {
    fn new(model: &ModelHeader, flags: &Flags) -> Option<Self> {
        let trained = model.trained_context();
        let asked = match flags.context {
            0 => trained?,
            context => context,
        };
        let padded = pad(asked);
        let slots = flags.parallel.max(1);
        let (cells, streams) = if flags.unified {
            (padded, 1)
        } else {
            (pad(padded / slots).max(CELLS), slots)
        };
        Some(Self {
            cells,
            streams,
            slots,
            ubatch: flags.ubatch.min(padded).max(1),
        })
    }

    /// Returns the cells of a cache whose layers look back only `window` tokens.
    fn windowed(&self, window: u64, flags: &Flags) -> u64 {
        if flags.swa_full {
            return self.cells;
        }
        let sequences = if flags.unified { self.slots } else { 1 };
        let wanted = product(&[window, sequences]).saturating_add(self.ubatch);
        pad(wanted.min(self.cells))
    }
}

/// Cumulates the shares of the devices as llama.cpp does.
fn splits(free: &[f64], flags: &Flags) -> Vec<f64> {
    let told = |index: usize| flags.tensor_split.get(index).copied().unwrap_or(0.0);
    let is_told = flags.tensor_split.iter().any(|share| *share > 0.0);
    let shares: Vec<f64> = (0..free.len())
        .map(|index| match flags.split {
            Split::None if index == flags.main_gpu => 1.0,
            Split::None => 0.0,
            Split::Layer | Split::Row if is_told => told(index),
            Split::Layer | Split::Row => free[index].max(1.0),
        })
        .collect();
    let all: f64 = shares.iter().sum();
    let mut sum = 0.0;
    shares
        .iter()
        .map(|share| {
            sum += share;
            if all > 0.0 { sum / all } else { 1.0 }
        })
        .collect()
}

fn is_expert(name: &str) -> bool {
    [".ffn_up_", ".ffn_down_", ".ffn_gate_", ".ffn_gate_up_"]
        .iter()
        .filter_map(|part| name.split_once(part))
        .any(|(_, rest)| rest.starts_with("exps") || rest.starts_with("chexps"))
}

fn is_dense(name: &str) -> bool {
    [".ffn_up.", ".ffn_down.", ".ffn_gate."]
        .iter()
        .any(|part| name.contains(part))
}

fn vocabulary(model: &ModelHeader) -> u64 {
    let embedding = model
        .tensors
        .iter()
        .find(|tensor| tensor.name == "token_embd.weight");
    match embedding {
        Some(tensor) => tensor.shape[1],
        None => model.number("vocab_size").unwrap_or(0),
    }
}

fn pad(cells: u64) -> u64 {
    cells.checked_next_multiple_of(CELLS).unwrap_or(u64::MAX)
}

/// Multiplies without overflow; a hostile header makes the result huge, not wrong.
fn product(factors: &[u64]) -> u64 {
    factors
        .iter()
        .fold(1, |all, factor| u64::saturating_mul(all, *factor))
}
