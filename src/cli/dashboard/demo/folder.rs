//! The temporary home of a demo: made, and swept away when its demo was killed.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::api::client::{Client, pace};
use crate::api::wire::Role;
use crate::config::home::{Home, HomeOrigin};
use crate::daemon::lock::Attempt;
use crate::daemon::owner::{self, OwnedHome};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Status;
use crate::domain::run::StopMode;
use crate::supervisor::Scope;

/// What the names of these folders begin with; the demo's pid and a random number follow.
const PREFIX: &str = "llama-orch-demo-";

/// Simulated servers that are killed are gone in a moment; a machine under load may need more.
const STOP_TIME: Duration = Duration::from_secs(20);

/// Whether anything still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::dashboard) enum Left {
    Nothing,
    Something,
}

/// The folder of the demo; removed when dropped.
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

impl Folder {
    pub(super) fn create() -> io::Result<Self> {
        let (pid, number) = (std::process::id(), fastrand::u32(..));
        let path = std::env::temp_dir().join(format!("{PREFIX}{pid}-{number:08x}"));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "remove the demo");
        }
    }
}

/// Kills all there is and waits until nothing is left.
pub(in crate::cli::dashboard) async fn stop_everything(client: &Client) -> Left {
    let stopped = async {
        let mut seen = 0;
        while let Ok(body) = client.instances_after(seen, STOP_TIME).await {
            seen = body.generation;
            let rows = body.to_snapshot().rows;
            let left = rows
                .iter()
                .filter(|row| row.status.is_live() || row.status == Status::Backoff);
            let mut count = 0;
            for row in left {
                count += 1;
                client.stop(&row.name, StopMode::Kill).await.ok(); // asked again with the next picture
            }
            if count == 0 {
                return Left::Nothing;
            }
            tokio::time::sleep(pace::WATCHING).await;
        }
        Left::Something
    };
    let ended = tokio::time::timeout(STOP_TIME, stopped).await;
    ended.unwrap_or(Left::Something)
}

/// Stops and removes what was left of demos that were killed; returns how many there were.
pub(super) async fn sweep() -> usize {
    let mut swept = 0;
    for path in orphaned(&std::env::temp_dir()) {
        if sweep_one(&path).await {
            swept += 1;
        }
    }
    swept
}

/// The folders of ours whose demo has no process any more.
fn orphaned(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let own = rustix::process::geteuid().as_raw();
    let ours = |path: &PathBuf| {
        // A link is not followed: what it points at was not made by us.
        fs::symlink_metadata(path).is_ok_and(|data| data.is_dir() && data.uid() == own)
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let pid = name.to_str().and_then(pid_of);
            pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
        })
        .map(|entry| entry.path())
        .filter(ours)
        .collect()
}

/// The pid in the name of a demo's folder.
fn pid_of(name: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let is_number = number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit());
    pid.parse().ok().filter(|_| is_number)
}

/// Removes one folder once nothing of it runs any more; one whose lock is held is somebody's.
async fn sweep_one(path: &Path) -> bool {
    let Ok(home) = Home::open(path, HomeOrigin::Flag) else {
        return false;
    };
    let Ok(Attempt::Owned(lock)) = owner::try_lock(&home) else {
        return false;
    };
    // It may stop them all, and starts none.
    let names = instances(&home).into_iter().collect();
    let owned = OwnedHome::start(&home, lock, Role::Command, Scope::Only(names)).await;
    let Ok(owned) = owned else {
        return false;
    };
    let left = stop_everything(&owned.client).await;
    owned.end().await;
    left == Left::Nothing && fs::remove_dir_all(path).is_ok()
}

fn instances(home: &Home) -> Vec<InstanceName> {
    let entries = fs::read_dir(home.instances_dir()).into_iter().flatten();
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| InstanceName::parse(entry.file_name().to_str()?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_dead_demos_are_orphaned() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let alive = std::process::id();
        // Above the highest pid that Linux gives out.
        let dead = 4_194_305;
        for name in [
            format!("{PREFIX}{alive}-00c0ffee"),
            format!("{PREFIX}{dead}-00c0ffee"),
            format!("{PREFIX}{dead}-short"),
            format!("{PREFIX}x-00c0ffee"),
            format!("mine-{dead}-00c0ffee"),
        ] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        fs::write(folder.path().join(format!("{PREFIX}{dead}-0000000a")), "").expect("a file");
        let link = folder.path().join(format!("{PREFIX}{dead}-0000000b"));
        std::os::unix::fs::symlink("/", link).expect("a link");
        let expected = folder.path().join(format!("{PREFIX}{dead}-00c0ffee"));
        assert_eq!(orphaned(folder.path()), [expected]);
    }
}
