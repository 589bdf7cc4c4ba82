//! Whether a server that answers is the one that was started.

use std::fs;
use std::path::Path;

use super::ports::{PortHolder, holder_of, holds_any, listening_inodes};
use super::tree;
use crate::domain::run::ProcessId;

/// A run's processes, as far as they must be told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub server: ProcessId,
    pub shim: Option<i32>,
    /// Carried by everything in the tree; empty when it is not known.
    pub token: String,
}

/// Who holds the listening socket of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listener {
    /// A process of the run; with the server's own listening sockets, if it is the server.
    Own(Vec<String>),
    /// Nobody of the run; whoever it is, if we may see it.
    Stranger(Option<PortHolder>),
    /// The kernel does not tell us.
    Unknown,
}

/// Finds out who listens on a TCP port. Blocking.
#[must_use]
pub fn of_port(port: u16, tree: &Tree) -> Listener {
    of_inodes(&listening_inodes(port), tree, || holder_of(port))
}

/// Finds out who listens on a Unix socket. Blocking.
#[must_use]
pub fn of_socket(path: &Path, tree: &Tree) -> Listener {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    of_inodes(&unix_inodes(&table, path), tree, || None)
}

/// Returns whether the server still has one of the sockets that were found to be its own. That is
/// one folder to read; who listens where, is a table of all connections of the machine.
#[must_use]
pub fn still_own(own: &[String], tree: &Tree) -> bool {
    !own.is_empty() && holds_any(tree.server.pid, own)
}

fn of_inodes(
    inodes: &[String],
    tree: &Tree,
    holder: impl FnOnce() -> Option<PortHolder>,
) -> Listener {
    if inodes.is_empty() {
        return Listener::Unknown; // it has just stopped listening
    }
    // The server itself nearly always, so its relatives are seldom looked for.
    let server = tree.server.pid;
    let own: Vec<String> = inodes
        .iter()
        .filter(|inode| holds_any(server, std::slice::from_ref(inode)))
        .cloned()
        .collect();
    if !own.is_empty() {
        return Listener::Own(own);
    }
    if fs::read_dir(format!("/proc/{server}/fd")).is_err() {
        return Listener::Unknown; // it may be the one: we are not allowed to see
    }
    let family = tree::family(server, tree.shim);
    if family.into_iter().any(|pid| holds_any(pid, inodes)) {
        return Listener::Own(Vec::new());
    }
    // A detached worker has left the family, but not lost the token.
    let carriers = if tree.token.is_empty() {
        return Listener::Unknown;
    } else {
        tree::processes(server, &tree.token)
    };
    if carriers.into_iter().any(|pid| holds_any(pid, inodes)) {
        return Listener::Own(Vec::new());
    }
    Listener::Stranger(holder())
}

/// Finds the listening sockets of a path in the text of `/proc/net/unix`.
fn unix_inodes(table: &str, path: &Path) -> Vec<String> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, _, _, flags, _, _, inode, ..] = fields[..] else {
                return None;
            };
            // The path may hold blanks, so it is all that follows the inode.
            let (_, found) = line.split_once(&format!(" {inode} "))?;
            // __SO_ACCEPTCON of include/uapi/linux/net.h: it listens.
            let listens = flags == "00010000";
            (listens && Path::new(found.trim_start()) == path).then(|| format!("socket:[{inode}]"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::os;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::process::{Command, Stdio};

    fn tree(pid: i32, token: &str) -> Tree {
        Tree {
            server: os::identity(pid).expect("it lives"),
            shim: None,
            token: token.to_owned(),
        }
    }

    #[test]
    fn our_own_sockets_are_ours_and_those_of_others_are_not() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let port = listener.local_addr().expect("an address").port();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a b.sock");
        let _socket = UnixListener::bind(&path).expect("listen");
        let own = std::process::id().cast_signed();
        for found in [
            of_port(port, &tree(own, "t")),
            of_socket(&path, &tree(own, "t")),
        ] {
            let Listener::Own(sockets) = found else {
                unreachable!("we hold it and are visible: {found:?}");
            };
            assert_eq!(sockets.len(), 1);
            assert!(still_own(&sockets, &tree(own, "t")));
        }
        assert!(!still_own(&[], &tree(own, "t")));
        assert!(!still_own(&["socket:[1]".to_owned()], &tree(own, "t")));
        // A child that inherits nothing listens nowhere.
        let mut child = Command::new("/bin/cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("cat runs");
        let other = tree(child.id().cast_signed(), "no such token");
        let Listener::Stranger(Some(holder)) = of_port(port, &other) else {
            unreachable!("we hold it and are visible");
        };
        assert_eq!(holder.process.pid, own);
        assert_eq!(of_socket(&path, &other), Listener::Stranger(None));
        child.kill().expect("killed");
        child.wait().expect("reaped");
        assert_eq!(
            of_socket(Path::new("/nowhere.sock"), &other),
            Listener::Unknown
        );
    }

    #[test]
    fn only_sockets_that_listen_count() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     0000: 00000002 00000000 00010000 0001 01 111 /run/a.sock\n\
                     0000: 00000003 00000000 00000000 0001 03 222 /run/a.sock\n\
                     0000: 00000002 00000000 00010000 0001 01 333 /run/b.sock\n\
                     0000: 00000003 00000000 00000000 0001 03 444\n";
        assert_eq!(
            unix_inodes(table, Path::new("/run/a.sock")),
            ["socket:[111]"]
        );
    }
}
