//! The need held against what there is: a verdict with its numbers, and what would help.

use super::estimate::{self, Estimate, Inputs, Need};
use super::flags::{Flags, GpuLayers};
use super::layers::LAYERS_LIMIT;
use crate::domain::gguf::TensorType;
use crate::domain::units::size;
use crate::domain::words::words;

/// A host with less than this to spare begins to swap.
const HOST_MARGIN: u64 = 512 << 20;

/// A device with less than this to spare may be full by the time the server asks.
const DEVICE_MARGIN: u64 = 256 << 20;

/// The margin is at least this part of all there is.
const MARGIN_SHARE: u64 = 20;

/// Nobody is helped by a shorter context.
const SHORTEST_CONTEXT: u64 = 1024;

/// Whether it will fit.
// A new verdict also needs a row in `Verdict::NAMES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Fits,
    /// It starts, with next to nothing to spare.
    Tight,
    Unknown,
    WillNotFit,
}

/// A place and what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// `host`, or the device's name as llama-server calls it.
    pub name: String,
    /// Bytes nobody uses; `None` when nobody tells.
    pub free: Option<u64>,
    pub total: Option<u64>,
}

/// One place with what goes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceFit {
    pub room: Room,
    pub need: Need,
    pub verdict: Verdict,
}

/// How long the context of a model can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Of the context below, or of the shortest when there is none.
    pub verdict: Verdict,
    /// Tokens of the longest context that fits: what the model was trained for, or a power of two.
    pub context: Option<u64>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    pub verdict: Verdict,
    /// One line with the numbers.
    pub summary: String,
    /// The host first; empty when the need is unknown.
    pub places: Vec<PlaceFit>,
    /// Tokens that all slots together may hold.
    pub context: Option<u64>,
    /// Layers on a device and all layers, the output counted as one.
    pub offloaded: Option<(u64, u64)>,
    /// What would make it fit, in one line.
    pub remedy: Option<String>,
    /// What was not counted, or is less sure than the rest.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Every verdict with its word.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::Fits, "fits"),
        (Self::Tight, "tight"),
        (Self::Unknown, "unknown"),
        (Self::WillNotFit, "will_not_fit"),
    ];

    /// Returns the words that a person reads.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Tight => "tight",
            Self::Unknown => "unknown",
            Self::WillNotFit => "will not fit",
        }
    }
}

words!(Verdict);

impl Fit {
    /// The answer when there is nothing to add up.
    #[must_use]
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Unknown,
            summary: reason.into(),
            places: Vec::new(),
            context: None,
            offloaded: None,
            remedy: None,
            notes: Vec::new(),
        }
    }
}

/// Judges whether a server will fit; `devices` are in the order of [`Inputs::shares`].
#[must_use]
pub fn judge(inputs: &Inputs<'_>, host: &Room, devices: &[Room]) -> Fit {
    let Some(estimate) = estimate::estimate(inputs) else {
        let kind = inputs.model.architecture().unwrap_or("nameless");
        return Fit::unknown(format!(
            "the header of this {kind} model does not tell its layers and context"
        ));
    };
    let places = places(&estimate, host, devices);
    let verdict = worst(&places);
    let remedy = match verdict {
        Verdict::Fits | Verdict::Unknown => None,
        Verdict::Tight | Verdict::WillNotFit => remedy(inputs, host, devices, verdict),
    };
    Fit {
        verdict,
        summary: summary(&places, &estimate),
        notes: notes(&estimate, inputs.flags, host),
        places,
        context: Some(estimate.context),
        offloaded: Some(estimate.offloaded),
        remedy,
    }
}

/// Finds the longest context that fits, whatever the flags ask for; `None` when the header does not
/// tell what the model was trained for.
#[must_use]
pub fn reach(inputs: &Inputs<'_>, host: &Room, devices: &[Room]) -> Option<Reach> {
    let verdict_at = |context: u64| {
        let flags = Flags {
            context,
            ..inputs.flags.clone()
        };
        let changed = Inputs {
            flags: &flags,
            ..*inputs
        };
        let estimate = estimate::estimate(&changed)?;
        Some(worst(&places(&estimate, host, devices)))
    };
    let trained = inputs
        .model
        .trained_context()
        .filter(|tokens| *tokens > 0)?;
    let below = trained.checked_next_power_of_two()? / 2;
    let shorter = std::iter::successors(Some(below), |context| Some(context / 2))
        .take_while(|context| *context >= SHORTEST_CONTEXT);
    let mut shortest = Verdict::Unknown;
    for context in std::iter::once(trained).chain(shorter) {
        shortest = verdict_at(context)?;
        if shortest == Verdict::Fits {
            return Some(Reach {
                verdict: shortest,
                context: Some(context),
            });
        }
    }
    Some(Reach {
        verdict: shortest,
        context: None,
    })
}

fn places(estimate: &Estimate, host: &Room, devices: &[Room]) -> Vec<PlaceFit> {
    let on_host = PlaceFit {
        verdict: host_verdict(estimate, host),
        room: host.clone(),
        need: estimate.host,
    };
    let on_devices = devices
        .iter()
        .zip(&estimate.devices)
        .map(|(room, need)| PlaceFit {
            verdict: verdict(
                need.total(),
                room,
                DEVICE_MARGIN.saturating_add(estimate.older),
            ),
            room: room.clone(),
            need: *need,
        });
    std::iter::once(on_host).chain(on_devices).collect()
}

fn host_verdict(estimate: &Estimate, host: &Room) -> Verdict {
    let need = estimate.host.total();
    match verdict(need, host, HOST_MARGIN) {
        // Mapped weights need not be in memory all at once; it is slow, but it runs.
        Verdict::WillNotFit => match verdict(need - estimate.mapped, host, HOST_MARGIN) {
            Verdict::Fits | Verdict::Tight => Verdict::Tight,
            other => other,
        },
        other => other,
    }
}

fn verdict(need: u64, room: &Room, margin: u64) -> Verdict {
    if need == 0 {
        return Verdict::Fits;
    }
    let Some(free) = room.free else {
        return match room.total {
            Some(total) if need > total => Verdict::WillNotFit,
            Some(_) | None => Verdict::Unknown,
        };
    };
    let margin = margin.min(room.total.map_or(margin, |total| total / MARGIN_SHARE));
    match free.checked_sub(need) {
        None => Verdict::WillNotFit,
        Some(rest) if rest < margin => Verdict::Tight,
        Some(_) => Verdict::Fits,
    }
}

fn worst(places: &[PlaceFit]) -> Verdict {
    places
        .iter()
        .map(|place| place.verdict)
        .max()
        .unwrap_or(Verdict::Unknown)
}

fn summary(places: &[PlaceFit], estimate: &Estimate) -> String {
    let parts: Vec<String> = places
        .iter()
        .filter(|place| place.need.total() > 0)
        .map(|place| {
            let free = match place.room.free {
                Some(free) => format!("{} free", size(free)),
                None => "an unknown amount free".to_owned(),
            };
            format!(
                "{} needs {} of {free}",
                place.room.name,
                size(place.need.total())
            )
        })
        .collect();
    let (on_device, all) = estimate.offloaded;
    let offloaded = if on_device > 0 {
        format!("; {on_device} of {all} layers on devices")
    } else {
        String::new()
    };
    format!("{}{offloaded}", parts.join(", "))
}

fn notes(estimate: &Estimate, flags: &Flags, host: &Room) -> Vec<String> {
    let mut notes = estimate.doubts.clone();
    let need = estimate.host.total();
    if let Some(free) = host.free
        && need > free
        && need - estimate.mapped <= free
    {
        notes.push(format!(
            "the weights are mapped from the file: it starts, but {} of them are read from disk \
             again and again",
            size(need - free)
        ));
    }
    if let (Some(free), Some(growth)) = (host.free, flags.cache_ram)
        && growth > 0
        && free.saturating_sub(need) < growth
    {
        notes.push(format!(
            "saved prompts may take up to {} more on the host; --cache-ram limits them",
            size(growth)
        ));
    }
    notes
}

/// Finds the least change that fits: a shorter context, a smaller cache, fewer layers on devices.
fn remedy(inputs: &Inputs<'_>, host: &Room, devices: &[Room], now: Verdict) -> Option<String> {
    let fits = |flags: &Flags| {
        let changed = Inputs { flags, ..*inputs };
        estimate::estimate(&changed)
            .is_some_and(|estimate| worst(&places(&estimate, host, devices)) < now)
    };
    let context = estimate::estimate(inputs)?.context;
    let mut shorter = context.checked_next_power_of_two()? / 2;
    while shorter >= SHORTEST_CONTEXT {
        let flags = Flags {
            context: shorter,
            ..inputs.flags.clone()
        };
        if fits(&flags) {
            return Some(format!("a context of {shorter} tokens would do"));
        }
        shorter /= 2;
    }
    if let Some(small) = TensorType::named("q8_0").filter(|small| *small != inputs.flags.cache_k) {
        let flags = Flags {
            cache_k: small,
            cache_v: small,
            ..inputs.flags.clone()
        };
        if fits(&flags) {
            return Some("a smaller cache would do: -ctk q8_0 -ctv q8_0".to_owned());
        }
    }
    if !devices.is_empty() {
        let with = |layers: u64| Flags {
            gpu_layers: GpuLayers::Count(layers),
            ..inputs.flags.clone()
        };
        let all = inputs.model.number("block_count")?.min(LAYERS_LIMIT);
        // What a device holds grows with its layers, so halving finds the most it can hold.
        let holds = |layers: &u64| {
            let flags = with(*layers);
            let changed = Inputs {
                flags: &flags,
                ..*inputs
            };
            estimate::estimate(&changed)
                .is_some_and(|estimate| worst(&places(&estimate, host, devices)[1..]) < now)
        };
        let counts: Vec<u64> = (0..=all).collect();
        let most = counts.partition_point(holds);
        if let Some(layers) = most.checked_sub(1).and_then(|index| counts.get(index))
            && fits(&with(*layers))
        {
            return Some(format!(
                "fewer layers on the device would do: gpu.layers = {layers}"
            ));
        }
    }
    Some("neither a shorter context nor fewer layers help; it takes a smaller model".to_owned())
}
