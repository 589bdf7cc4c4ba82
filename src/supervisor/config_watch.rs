//! Tells the loop when a configuration file may have changed.
//!
//! Folders are watched, never files: an editor replaces a file by renaming another over it. A look
//! at a file is no change, so our own reading never wakes us. What changed is found out by reading
//! everything again and comparing; here it is only noticed that something may have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::actor::Message;
use crate::config::home::Home;

/// Files whose change matters, wherever they are in a watched folder.
const FILES: [&str; 5] = [
    "config.toml",
    "config.json",
    "orchestrator.toml",
    "autostart.json",
    "registry.json",
];

/// An editor writes a file in several steps, and a checkout many files; this long after the last.
const QUIET: Duration = Duration::from_millis(100);

/// Files that never rest are read after this all the same.
const LONGEST: Duration = Duration::from_secs(1);

/// The folders of one home that are watched; cheap to clone.
#[derive(Clone)]
pub(super) struct ConfigWatch {
    watched: Arc<Mutex<Watched>>,
}

struct Watched {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    /// That folders cannot be watched is told once.
    failed: bool,
}

/// Begins to watch; [`ConfigWatch::follow`] says what. `None` when this machine cannot.
pub(super) fn start(
    home: &Home,
    sender: mpsc::Sender<Message>,
    shutdown: CancellationToken,
    tasks: &TaskTracker,
) -> Option<ConfigWatch> {
    let touched = Arc::new(Notify::new());
    let instances = home.instances_dir();
    let notice = Arc::clone(&touched);
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event
            .as_ref()
            .map_or(true, |event| matters(event, &instances))
        {
            notice.notify_one();
        }
    });
    let watcher = watcher
        .inspect_err(|error| warn!(%error, "configuration files are not watched"))
        .ok()?;
    tasks.spawn(tell(touched, sender, shutdown));
    Some(ConfigWatch {
        watched: Arc::new(Mutex::new(Watched {
            watcher,
            folders: BTreeSet::new(),
            failed: false,
        })),
    })
}

/// Returns whether a configuration, or the folder of one, may be another now.
fn matters(event: &Event, instances: &Path) -> bool {
    let changes = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    };
    let concerns = |path: &PathBuf| {
        let is_file = path
            .file_name()
            .is_some_and(|name| FILES.iter().any(|file| name == *file));
        is_file || path == instances || path.parent() == Some(instances)
    };
    event.need_rescan() || (changes && event.paths.iter().any(concerns))
}

async fn tell(touched: Arc<Notify>, sender: mpsc::Sender<Message>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = touched.notified() => {}
            () = shutdown.cancelled() => return,
        }
        let longest = Instant::now() + LONGEST;
        loop {
            let quiet = (Instant::now() + QUIET).min(longest);
            if tokio::time::timeout_at(quiet, touched.notified())
                .await
                .is_err()
            {
                break;
            }
        }
        if sender.send(Message::ConfigsTouched).await.is_err() {
            return;
        }
    }
}

impl ConfigWatch {
    /// Watches the folders that hold configurations now. Blocking; to be called before they are
    /// read, so that no change falls between.
    pub(super) fn follow(&self, home: &Home) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let folders = folders(home);
        let Watched {
            watcher,
            folders: known,
            failed,
        } = &mut *watched;
        for folder in known.difference(&folders) {
            watcher.unwatch(folder).ok(); // gone with its folder
        }
        let mut trouble = None;
        for folder in &folders {
            // Again for those known: the folder of that name may be another one by now.
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                trouble = Some((folder, error));
            }
        }
        if let (Some((folder, error)), false) = (&trouble, *failed) {
            let folder = folder.display();
            warn!(%folder, %error, "not watched: changes there are noticed within half a minute");
        }
        *failed = trouble.is_some();
        *known = folders;
    }
}

fn folders(home: &Home) -> BTreeSet<PathBuf> {
    let fixed = [
        home.root().to_owned(),
        home.instances_dir(),
        home.bins_dir(),
    ];
    let instances = fs::read_dir(home.instances_dir()).into_iter().flatten();
    let instances = instances.filter_map(Result::ok).map(|entry| entry.path());
    fixed
        .into_iter()
        .chain(instances)
        .filter(|path| path.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, Flag, ModifyKind, RenameMode};

    use super::*;

    #[test]
    fn changes_of_configurations_matter_and_looks_and_logs_do_not() {
        let rows = [
            (
                EventKind::Access(AccessKind::Open(AccessMode::Read)),
                "/h/instances/a/config.toml",
                false,
            ),
            (
                EventKind::Access(AccessKind::Close(AccessMode::Write)),
                "/h/instances/a/config.toml",
                true,
            ),
            (
                EventKind::Modify(ModifyKind::Data(DataChange::Any)),
                "/h/instances/a/config.toml",
                true,
            ),
            (
                EventKind::Modify(ModifyKind::Name(RenameMode::Both)),
                "/h/instances/a/config.toml",
                true,
            ),
            (
                EventKind::Modify(ModifyKind::Data(DataChange::Any)),
                "/h/instances/a/stdout.log",
                false,
            ),
            (
                EventKind::Create(CreateKind::Folder),
                "/h/instances/b",
                true,
            ),
            (EventKind::Create(CreateKind::Folder), "/h/state", false),
            (
                EventKind::Modify(ModifyKind::Any),
                "/h/orchestrator.toml",
                true,
            ),
        ];
        for (kind, path, expected) in rows {
            let event = Event::new(kind).add_path(path.into());
            assert_eq!(
                matters(&event, Path::new("/h/instances")),
                expected,
                "{kind:?} {path}"
            );
        }
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(matters(&overflow, Path::new("/h/instances")));
    }
}
