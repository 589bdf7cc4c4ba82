//! What builds say of themselves, as one process has heard it: a crashed server is started again
//! without reading the answers of every build that was ever asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::binary::{self, Build, CannotRun};
use super::devices::Asking;

/// Programs with what comes first in their arguments, and what was heard of each.
type Heard = BTreeMap<(PathBuf, Vec<String>), Said>;

/// The builds of one home; cheap to clone.
#[derive(Clone, Debug)]
pub struct Builds {
    state_dir: PathBuf,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug)]
struct Said {
    /// Of the file at that time.
    stamp: String,
    build: Arc<Build>,
}

impl Builds {
    /// Remembers across processes in this folder.
    #[must_use]
    pub fn new(state_dir: PathBuf) -> Self {
        Self {
            state_dir,
            heard: Arc::default(),
        }
    }

    /// Returns what a build says of itself; it is asked when its content was never seen before.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be run.
    pub fn of(
        &self,
        program: &Path,
        prefix: &[String],
        asking: Asking,
    ) -> Result<Arc<Build>, CannotRun> {
        let call = (program.to_owned(), prefix.to_vec());
        // Taken before it is asked: a file that is replaced meanwhile is asked again next time.
        let stamp = binary::stamp(program);
        if asking == Asking::Once
            && let Some(said) = self.lock().get(&call)
            && stamp.as_ref() == Some(&said.stamp)
        {
            return Ok(Arc::clone(&said.build));
        }
        let build = Arc::new(binary::build(&self.state_dir, program, prefix, asking)?);
        if let (Some(stamp), Asking::Once | Asking::Anew) = (stamp, asking) {
            let build = Arc::clone(&build);
            self.lock().insert(call, Said { stamp, build });
        }
        Ok(build)
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_build_that_has_not_changed_is_looked_up_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("server");
        let replace = |text: &str| {
            let new = folder.path().join("new");
            fs::write(&new, format!("#!/bin/sh\n# {text}\n")).expect("write");
            fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("chmod");
            fs::rename(&new, &program).expect("rename");
        };
        replace("one");
        let builds = Builds::new(folder.path().to_owned());
        let look = |asking| builds.of(&program, &[], asking).expect("it runs");
        let first = look(Asking::Once);
        // Also when nothing is left of what processes share.
        let shared = folder.path().join("binaries.json");
        fs::remove_file(&shared).expect("it was written");
        assert!(Arc::ptr_eq(&first, &look(Asking::Once)));
        assert!(!shared.exists());
        assert!(!Arc::ptr_eq(&first, &look(Asking::Anew)));
        let again = look(Asking::Once);
        replace("another");
        assert!(!Arc::ptr_eq(&again, &look(Asking::Once)));
    }
}
