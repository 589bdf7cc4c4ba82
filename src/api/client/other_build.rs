//! An owner that is another build than this program and cannot answer: told as that, not as a
//! mistake of the person who asked.

use std::cmp::Ordering;
use std::fmt;

use hyper::Method;

use super::{Client, ClientError, Transport};
use crate::api::error::{ErrorBody, ErrorCode, no_such_route};
use crate::api::wire::{OwnerStatus, Role};

/// The version of this program.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// An owner that does not know what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherBuild {
    owner: Owner,
    /// What was asked, as `GET /path`.
    asked: String,
    lacks: Lacks,
}

/// Who owns a home, held against this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    role: Role,
    pid: u32,
    version: String,
}

/// What it lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lacks {
    Route,
    /// Something in its answer; why that cannot be read.
    Words(String),
}

impl Owner {
    /// Returns an owner of another version than this program's; `None` when it has the same.
    #[must_use]
    pub fn of_another_version(status: &OwnerStatus) -> Option<Self> {
        let owner = Self::of(status);
        (against(&owner.version, OURS) != Ordering::Equal).then_some(owner)
    }

    fn of(status: &OwnerStatus) -> Self {
        Self {
            role: status.role,
            pid: status.pid,
            version: status.version.clone(),
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match (against(&self.version, OURS), self.role) {
            (Ordering::Greater, _) => "use the newer llama-orch here, too",
            (_, Role::Daemon) => "restart it: llama-orch daemon restart (instances keep running)",
            (_, Role::Dashboard) => {
                "leave that dashboard and open it again (instances keep running)"
            }
            (_, Role::Command) => "try again when that command has ended",
        }
    }
}

impl OtherBuild {
    /// Returns what to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        self.owner.remedy()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = match self.role {
            Role::Daemon => "daemon",
            Role::Dashboard => "dashboard",
            Role::Command => "command",
        };
        let (pid, version) = (self.pid, &self.version);
        write!(f, "the {owner} (pid {pid}) is ")?;
        match against(version, OURS) {
            Ordering::Less => write!(f, "llama-orch {version}, older than this {OURS}"),
            Ordering::Equal => write!(f, "another build of llama-orch {version} than this"),
            Ordering::Greater => write!(f, "llama-orch {version}, newer than this {OURS}"),
        }
    }
}

impl fmt::Display for OtherBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lacks {
            Lacks::Route => write!(f, "{}: it knows no {}", self.owner, self.asked),
            Lacks::Words(why) => write!(
                f,
                "{}: its answer to {} cannot be read: {why}",
                self.owner, self.asked
            ),
        }
    }
}

/// Compares versions number by number; what is no number counts as 0.
fn against(theirs: &str, ours: &str) -> Ordering {
    let numbers = |version: &str| -> Vec<u64> {
        let core = version.split(['-', '+']).next().unwrap_or_default();
        core.split('.')
            .map(|number| number.parse().unwrap_or(0))
            .collect()
    };
    numbers(theirs).cmp(&numbers(ours))
}

/// Returns whether an owner says that nothing is there to be asked, instead of that what was asked
/// for is not there.
pub(super) fn is_unknown_route(body: &ErrorBody, path: &str) -> bool {
    let route = path.split('?').next().unwrap_or_default();
    body.code == ErrorCode::MethodNotAllowed
        || (body.code == ErrorCode::NotFound && body.message == no_such_route(route))
}

impl Client {
    /// Returns who cannot answer, by its own words; `None` when nobody can tell.
    pub(super) async fn other_build(
        &self,
        method: &Method,
        path: &str,
        lacks: Lacks,
    ) -> Option<ClientError> {
        // The owner in this process is this build, and one that cannot say who it is, is asked no more.
        if matches!(self.transport, Transport::Local(_)) || path == super::STATUS {
            return None;
        }
        // It asks the same way, but of a fixed path, so it goes no deeper.
        let status = Box::pin(self.status()).await.ok()?;
        let route = path.split('?').next().unwrap_or_default();
        Some(ClientError::OtherBuild(Box::new(OtherBuild {
            owner: Owner::of(&status),
            asked: format!("{method} {route}"),
            lacks,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_that_cannot_answer_is_named_with_what_to_do_about_it() {
        let other = |version: &str, role, lacks| OtherBuild {
            owner: Owner {
                role,
                pid: 711,
                version: version.to_owned(),
            },
            asked: "GET /fits".to_owned(),
            lacks,
        };
        let same = format!("another build of llama-orch {OURS} than this: ");
        let older = format!("llama-orch 0.0.9, older than this {OURS}: ");
        let newer = format!("llama-orch 900.0.0-rc.1, newer than this {OURS}: ");
        let words = Lacks::Words("missing field `x`".to_owned());
        let rows = [
            (
                other(OURS, Role::Daemon, Lacks::Route),
                format!("the daemon (pid 711) is {same}it knows no GET /fits"),
                "llama-orch daemon restart",
            ),
            (
                other("0.0.9", Role::Dashboard, Lacks::Route),
                format!("the dashboard (pid 711) is {older}it knows no GET /fits"),
                "leave that dashboard",
            ),
            (
                other("900.0.0-rc.1", Role::Daemon, words),
                format!(
                    "the daemon (pid 711) is {newer}its answer to GET /fits cannot be read: \
                     missing field `x`"
                ),
                "use the newer llama-orch",
            ),
        ];
        for (other, told, remedy) in rows {
            assert_eq!(other.to_string(), told);
            assert!(other.remedy().contains(remedy), "{}", other.remedy());
        }
    }

    #[test]
    fn a_name_that_is_not_there_is_no_route_that_is_not_there() {
        let not_found = |message: &str| ErrorBody::new(ErrorCode::NotFound, message);
        let path = "/instances/a/crash?back=0";
        let rows = [
            (not_found(&no_such_route("/instances/a/crash")), true),
            (not_found("no instance is called a"), false),
            (not_found(&no_such_route("/instances/b/crash")), false),
            (ErrorBody::new(ErrorCode::MethodNotAllowed, "no"), true),
            (ErrorBody::new(ErrorCode::Invalid, "no"), false),
        ];
        for (body, expected) in rows {
            assert_eq!(is_unknown_route(&body, path), expected, "{body:?}");
        }
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let rows = [
            ("0.10.0", "0.9.1", Ordering::Greater),
            ("1.0.0", "1.0.0-rc.1", Ordering::Equal),
            ("0.1", "0.1.0", Ordering::Less),
            ("", "0.1.0", Ordering::Less),
        ];
        for (theirs, ours, expected) in rows {
            assert_eq!(against(theirs, ours), expected, "{theirs} {ours}");
        }
    }
}
