//! Questions about memory, devices and the installation to the owner.

use std::time::Duration;

use super::client::{Client, ClientError};
use super::wire::{CheckupBody, DescriptionBody, DevicesBody, FitBody, FitsBody, KeptCrashBody};
use crate::domain::instance::InstanceName;

/// A build that is asked for its devices for the first time may take some seconds.
const LOOK_TIME: Duration = Duration::from_secs(30);

impl Client {
    /// `GET /instances/{name}/fit`: whether it will fit into memory, as its files are now.
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn fit(&self, name: &InstanceName) -> Result<FitBody, ClientError> {
        self.get(&format!("/instances/{name}/fit"), LOOK_TIME).await
    }

    /// `GET /fits?names=…`: whether they will fit into memory, one started after the other.
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn fits(&self, names: &[InstanceName]) -> Result<FitsBody, ClientError> {
        let names: Vec<&str> = names.iter().map(InstanceName::as_str).collect();
        let path = format!("/fits?names={}", names.join(","));
        self.get(&path, LOOK_TIME).await
    }

    /// `GET /instances/{name}/describe`: everything that is known of it.
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn describe(&self, name: &InstanceName) -> Result<DescriptionBody, ClientError> {
        let path = format!("/instances/{name}/describe");
        self.get(&path, LOOK_TIME).await
    }

    /// `GET /instances/{name}/crash?back=N`: what was kept of a crash, the newest or as many before
    /// it.
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn crash(
        &self,
        name: &InstanceName,
        back: usize,
    ) -> Result<KeptCrashBody, ClientError> {
        let path = format!("/instances/{name}/crash?back={back}");
        self.get(&path, LOOK_TIME).await
    }

    /// `GET /devices`: what the machine has, and what each build can compute on.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn devices(&self) -> Result<DevicesBody, ClientError> {
        self.get("/devices", LOOK_TIME).await
    }

    /// `GET /devices?refresh=true`: as [`Self::devices`], with every build asked again.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn devices_anew(&self) -> Result<DevicesBody, ClientError> {
        self.get("/devices?refresh=true", LOOK_TIME).await
    }

    /// `GET /doctor`: what is wrong with the installation, and what to do about it.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn doctor(&self) -> Result<CheckupBody, ClientError> {
        self.get("/doctor", LOOK_TIME).await
    }
}
