//! The shapes of a memory fit and of the devices it is held against.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HostBody, rfc3339};
use crate::domain::device::ListedDevice;
use crate::domain::instance::InstanceName;
use crate::domain::memory::estimate::Need;
use crate::domain::memory::fit::{Fit, PlaceFit, Room, Verdict};

/// `GET /instances/{name}/fit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FitBody {
    /// fits, tight, unknown, will_not_fit.
    pub verdict: String,
    /// One line with the numbers.
    pub summary: String,
    pub places: Vec<PlaceBody>,
    /// Tokens that all slots together may hold.
    pub context: Option<u64>,
    /// Layers on a device, the output counted as one.
    pub offloaded_layers: Option<u64>,
    pub layers: Option<u64>,
    pub remedy: Option<String>,
    pub notes: Vec<String>,
}

/// `GET /fits`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FitsBody {
    pub fits: Vec<InstanceFitBody>,
}

/// Whether one instance will fit once those before it are started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceFitBody {
    pub instance: String,
    pub fit: FitBody,
}

/// The host or one device, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceBody {
    pub name: String,
    pub verdict: String,
    pub need_bytes: u64,
    pub weights_bytes: u64,
    pub cache_bytes: u64,
    pub state_bytes: u64,
    pub compute_bytes: u64,
    pub other_bytes: u64,
    pub free_bytes: Option<u64>,
    pub total_bytes: Option<u64>,
}

/// `GET /devices`; also what `devices --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DevicesBody {
    /// The drivers' readings.
    pub host: HostBody,
    pub builds: Vec<BuildDevicesBody>,
}

/// What one build lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuildDevicesBody {
    pub binary: String,
    /// The instances that run this build.
    pub instances: Vec<String>,
    /// RFC 3339; null when it cannot list devices.
    pub asked_at: Option<String>,
    pub devices: Vec<ListedDeviceBody>,
}

/// One device of a build, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedDeviceBody {
    pub name: String,
    pub description: String,
    pub total_bytes: Option<u64>,
    /// When the build was asked.
    pub free_bytes: Option<u64>,
}

impl FitsBody {
    /// Converts back, without what this version does not know.
    #[must_use]
    pub fn to_fits(&self) -> Vec<(InstanceName, Fit)> {
        self.fits
            .iter()
            .filter_map(|one| Some((InstanceName::parse(&one.instance).ok()?, one.fit.to_fit()?)))
            .collect()
    }
}

impl From<&Fit> for FitBody {
    fn from(fit: &Fit) -> Self {
        Self {
            verdict: fit.verdict.as_str().to_owned(),
            summary: fit.summary.clone(),
            places: fit.places.iter().map(PlaceBody::from).collect(),
            context: fit.context,
            offloaded_layers: fit.offloaded.map(|(offloaded, _)| offloaded),
            layers: fit.offloaded.map(|(_, all)| all),
            remedy: fit.remedy.clone(),
            notes: fit.notes.clone(),
        }
    }
}

impl FitBody {
    /// Converts back; `None` for a verdict this version does not know.
    #[must_use]
    pub fn to_fit(&self) -> Option<Fit> {
        Some(Fit {
            verdict: Verdict::parse(&self.verdict)?,
            summary: self.summary.clone(),
            places: self
                .places
                .iter()
                .map(PlaceBody::to_place)
                .collect::<Option<_>>()?,
            context: self.context,
            offloaded: self.offloaded_layers.zip(self.layers),
            remedy: self.remedy.clone(),
            notes: self.notes.clone(),
        })
    }
}

impl From<&PlaceFit> for PlaceBody {
    fn from(place: &PlaceFit) -> Self {
        Self {
            name: place.room.name.clone(),
            verdict: place.verdict.as_str().to_owned(),
            need_bytes: place.need.total(),
            weights_bytes: place.need.weights,
            cache_bytes: place.need.cache,
            state_bytes: place.need.state,
            compute_bytes: place.need.compute,
            other_bytes: place.need.other,
            free_bytes: place.room.free,
            total_bytes: place.room.total,
        }
    }
}

impl PlaceBody {
    fn to_place(&self) -> Option<PlaceFit> {
        Some(PlaceFit {
            room: Room {
                name: self.name.clone(),
                free: self.free_bytes,
                total: self.total_bytes,
            },
            need: Need {
                weights: self.weights_bytes,
                cache: self.cache_bytes,
                state: self.state_bytes,
                compute: self.compute_bytes,
                other: self.other_bytes,
            },
            verdict: Verdict::parse(&self.verdict)?,
        })
    }
}

impl BuildDevicesBody {
    /// Converts what a build said, with the unix seconds of when it was asked.
    #[must_use]
    pub fn new(
        binary: String,
        instances: Vec<String>,
        list: Option<(f64, &[ListedDevice])>,
    ) -> Self {
        Self {
            binary,
            instances,
            asked_at: list.map(|(at, _)| rfc3339(at)),
            devices: list
                .map(|(_, devices)| devices.iter().map(ListedDeviceBody::from).collect())
                .unwrap_or_default(),
        }
    }
}

impl From<&ListedDevice> for ListedDeviceBody {
    fn from(device: &ListedDevice) -> Self {
        Self {
            name: device.name.clone(),
            description: device.description.clone(),
            total_bytes: device.total,
            free_bytes: device.free,
        }
    }
}
