//! Which ports are free, and who holds the others.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::os;
use super::sockets::{self, Listening};
use crate::domain::run::ProcessId;

/// The range that `port = "auto"` is taken from: below the ephemeral ports, above the well-known.
const AUTO_RANGE: std::ops::Range<u16> = 18_080..28_080;

/// How many ports are tried before the search is given up.
const AUTO_TRIES: u16 = 512;

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortHolder {
    pub process: ProcessId,
    pub executable: String,
}

/// Why an instance cannot listen where it should.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    #[error("port {port} is in use{}", held_by(.holder.as_ref()))]
    Taken {
        port: u16,
        holder: Option<PortHolder>,
    },
    #[error("something listens on {path} already")]
    SocketTaken { path: String },
    #[error("cannot listen on {host}:{port}: {error}")]
    Refused {
        host: String,
        port: u16,
        error: io::Error,
    },
    #[error("no port between {} and {} is free", AUTO_RANGE.start, AUTO_RANGE.end - 1)]
    NoneFree,
}

fn held_by(holder: Option<&PortHolder>) -> String {
    holder.map_or_else(
        || " (by a process that we may not look at)".to_owned(),
        |holder| format!(" by {holder}"),
    )
}

impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} ({})", self.process.pid, self.executable)
    }
}

/// Tests by binding whether a server could listen there now. A `*.sock` host is tested by
/// connecting; its port is ignored.
///
/// # Errors
///
/// Returns who is there, or why the address cannot be used at all.
pub fn check_free(host: &str, port: u16) -> Result<(), PortError> {
    for host in host.split(',').map(str::trim) {
        if host.ends_with(".sock") {
            if somebody_listens(host) {
                return Err(PortError::SocketTaken {
                    path: host.to_owned(),
                });
            }
            continue;
        }
        match bind(host, port) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(PortError::Taken {
                    port,
                    holder: holder_of(port),
                });
            }
            Err(error) => {
                return Err(PortError::Refused {
                    host: host.to_owned(),
                    port,
                    error,
                });
            }
        }
    }
    Ok(())
}

/// Returns whether somebody listens where a server of this host and port would.
#[must_use]
pub fn is_taken(host: &str, port: u16) -> bool {
    let mut hosts = host.split(',').map(str::trim);
    hosts.any(|host| bind(host, port).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse))
}

/// Finds a port that can be claimed and is free, and returns the claim.
///
/// # Errors
///
/// Returns an error when there is none or the host cannot be listened on.
pub fn choose_free<Claim>(
    host: &str,
    claim: impl Fn(u16) -> Option<Claim>,
) -> Result<Claim, PortError> {
    for _ in 0..AUTO_TRIES {
        // By chance: two owners on one machine then seldom meet on the same port.
        let port = fastrand::u16(AUTO_RANGE);
        // First: a look at a port that another server is about to take could be in its way.
        let Some(claim) = claim(port) else {
            continue;
        };
        match check_free(host, port) {
            Ok(()) => return Ok(claim),
            Err(PortError::Taken { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(PortError::NoneFree)
}

fn bind(host: &str, port: u16) -> io::Result<()> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => hold(SocketAddr::new(address, port)).map(drop),
        Err(_) => {
            for address in (host, port).to_socket_addrs()? {
                hold(address)?;
            }
            Ok(())
        }
    }
}

/// Takes an address without listening there: what listens is in the way of this, but this is in the
/// way of no server that comes in the same moment. With SO_REUSEADDR, as llama-server sets it: a
/// port in TIME_WAIT counts as free.
fn hold(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

/// Asks without ever waiting: a wedged server with a full queue would make us wait for good.
fn somebody_listens(path: &str) -> bool {
    let Ok(address) = SocketAddrUnix::new(path) else {
        return false; // too long to be bound, which the server itself will say
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let Ok(socket) = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None) else {
        return false;
    };
    // AGAIN: somebody listens and has more callers waiting than it takes.
    matches!(connect(&socket, &address), Ok(()) | Err(Errno::AGAIN))
}

/// Finds a process that listens on a TCP port, if we may see one.
#[must_use]
pub fn holder_of(port: u16) -> Option<PortHolder> {
    // The one that has it longest: workers inherit the socket of the process that opened it.
    let process = listener_pids(port)
        .into_iter()
        .filter_map(|pid| os::identity(pid).ok())
        .min_by_key(|process| (process.start_ticks, process.pid))?;
    let executable = fs::read_link(format!("/proc/{}/exe", process.pid))
        .unwrap_or_else(|_| PathBuf::from("?"))
        .display()
        .to_string();
    Some(PortHolder {
        process,
        executable,
    })
}

/// Lists the processes that hold a listening socket of a TCP port, as far as we may see them.
#[must_use]
pub fn listener_pids(port: u16) -> Vec<i32> {
    let inodes = listening_inodes(port);
    if inodes.is_empty() {
        return Vec::new();
    }
    let mut pids = os::all_pids().unwrap_or_default();
    pids.retain(|pid| holds_any(*pid, &inodes));
    pids
}

pub(super) fn listening_inodes(port: u16) -> Vec<String> {
    listening().remove(&port).unwrap_or_default()
}

/// Counts the connections to a TCP port of this machine that are not our own.
#[must_use]
pub fn connections_of_others(port: u16) -> usize {
    let open = |row: &Row<'_>| row.state == ESTABLISHED && row.local_port == Some(port);
    let asked = |row: &Row<'_>| row.state == ESTABLISHED && row.remote_port == Some(port);
    let own = std::process::id().cast_signed();
    let callers = inodes(asked);
    let ours = callers
        .iter()
        .filter(|inode| holds_any(own, std::slice::from_ref(inode)));
    inodes(open).len().saturating_sub(ours.count())
}

/// States of include/net/tcp_states.h.
const ESTABLISHED: &str = "01";
const LISTEN: &str = "0A";

/// A line of `/proc/net/tcp`.
struct Row<'a> {
    local_port: Option<u16>,
    remote_port: Option<u16>,
    state: &'a str,
}

/// Lists the sockets of the lines that are wanted, as they are called in `/proc/PID/fd`.
fn inodes(wanted: impl Fn(&Row<'_>) -> bool) -> Vec<String> {
    let mut inodes = Vec::new();
    each_row(|row, inode| {
        if wanted(row) {
            inodes.push(socket(inode));
        }
    });
    inodes
}

/// Returns every TCP port that is listened on, with its sockets as they are called in
/// `/proc/PID/fd`.
#[must_use]
pub fn listening() -> BTreeMap<u16, Vec<String>> {
    // Not every kernel answers; the tables say the same, but it takes them much longer.
    asked().unwrap_or_else(|_| tabled())
}

fn asked() -> io::Result<BTreeMap<u16, Vec<String>>> {
    let mut found: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for Listening { port, inode } in sockets::listening()? {
        found.entry(port).or_default().push(socket(inode));
    }
    Ok(found)
}

fn tabled() -> BTreeMap<u16, Vec<String>> {
    let mut found: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    each_row(|row, inode| {
        if let (LISTEN, Some(port)) = (row.state, row.local_port) {
            found.entry(port).or_default().push(socket(inode));
        }
    });
    found
}

/// Names a socket as `/proc/PID/fd` does.
fn socket(inode: impl fmt::Display) -> String {
    format!("socket:[{inode}]")
}

fn each_row(mut take: impl FnMut(&Row<'_>, &str)) {
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(file) = fs::File::open(path) else {
            continue; // a kernel without IPv6
        };
        // By the line: the table of a busy machine has megabytes, and many threads look at once.
        let mut table = BufReader::new(file);
        let mut line = String::new();
        while matches!(table.read_line(&mut line), Ok(1..)) {
            let mut fields = line.split_whitespace().skip(1);
            if let (Some(local), Some(remote), Some(state), Some(inode)) =
                (fields.next(), fields.next(), fields.next(), fields.nth(5))
            {
                let row = Row {
                    local_port: port(local),
                    remote_port: port(remote),
                    state,
                };
                take(&row, inode);
            }
            line.clear();
        }
    }
}

/// Returns whether a process has one of these sockets open.
#[must_use]
pub fn holds_any(pid: i32, inodes: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .filter_map(Result::ok)
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| {
            inodes
                .iter()
                .any(|inode| target.as_os_str() == inode.as_str())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    #[test]
    fn a_listener_is_found_with_its_pid() {
        for host in ["127.0.0.1", "::1"] {
            let Ok(listener) = TcpListener::bind((host, 0)) else {
                continue;
            };
            let port = listener.local_addr().expect("an address").port();
            let error = check_free(host, port).expect_err("it is taken");
            let PortError::Taken {
                holder: Some(holder),
                ..
            } = error
            else {
                unreachable!("our own process is always visible: {error}");
            };
            let own = std::process::id().cast_signed();
            assert_eq!(holder.process, os::identity(own).expect("we live"));
            assert!(listener_pids(port).contains(&own));
            drop(listener);
            // A process that another test is just starting may hold a copy until its exec.
            let deadline = Instant::now() + Duration::from_secs(10);
            while check_free(host, port).is_err() {
                assert!(Instant::now() < deadline, "{host}:{port} is not free again");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn the_kernel_and_its_tables_name_the_same_socket() {
        for host in ["127.0.0.1", "::1"] {
            let Ok(listener) = TcpListener::bind((host, 0)) else {
                continue; // a machine without IPv6
            };
            let port = listener.local_addr().expect("an address").port();
            let tabled = tabled().remove(&port);
            assert_eq!(tabled.as_ref().map(Vec::len), Some(1), "{host}");
            if let Ok(mut asked) = asked() {
                assert_eq!(asked.remove(&port), tabled, "{host}");
            }
        }
    }

    #[test]
    fn connections_are_counted_without_our_own() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("an address");
        let _client = std::net::TcpStream::connect(address).expect("connect");
        let _accepted = listener.accept().expect("accept");
        // The table is no picture of one moment: while others come and go a row may be missed.
        let wait_for = |count: usize| {
            let deadline = Instant::now() + Duration::from_secs(60);
            while connections_of_others(address.port()) != count {
                assert!(Instant::now() < deadline, "never counted as {count}");
                std::thread::yield_now();
            }
        };
        wait_for(0);
        let port = address.port().to_string();
        let mut other = std::process::Command::new("/bin/bash")
            .args([
                "-c",
                &format!("exec 3<>/dev/tcp/127.0.0.1/{port}; exec cat"),
            ])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("bash runs");
        let _accepted = listener.accept().expect("accept");
        wait_for(1);
        drop(other.stdin.take());
        other.wait().expect("reaped");
    }

    #[test]
    fn a_listener_on_any_address_takes_the_port_of_each() {
        let listener = TcpListener::bind("0.0.0.0:0").expect("listen");
        let port = listener.local_addr().expect("an address").port();
        for host in [
            "127.0.0.1",
            "0.0.0.0",
            "localhost",
            "127.0.0.1,/nowhere/a.sock",
        ] {
            let found = check_free(host, port);
            assert!(
                matches!(found, Err(PortError::Taken { .. })),
                "{host}: {found:?}"
            );
        }
    }

    #[test]
    fn a_port_whose_last_connection_waits_to_die_is_free() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("an address");
        let client = std::net::TcpStream::connect(address).expect("connect");
        let (server, _) = listener.accept().expect("accept");
        // The side that closes first keeps the port in TIME_WAIT.
        drop((server, listener));
        drop(client);
        let deadline = Instant::now() + Duration::from_secs(10);
        while check_free("127.0.0.1", address.port()).is_err() {
            assert!(Instant::now() < deadline, "{address} is not free again");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_look_at_a_port_is_not_in_the_way_of_a_server_that_takes_it() {
        for host in ["127.0.0.1", "::1"] {
            let Ok(before) = TcpListener::bind((host, 0)) else {
                continue; // a machine without IPv6
            };
            let address = before.local_addr().expect("an address");
            assert!(hold(address).is_err(), "{address}");
            drop(before);
            // A process that another test is just starting may hold a copy until its exec.
            let deadline = Instant::now() + Duration::from_secs(60);
            let look = loop {
                match hold(address) {
                    Ok(look) => break look,
                    Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
                }
                std::thread::yield_now();
            };
            let server = TcpListener::bind(address).expect("free");
            drop((look, server));
        }
    }

    #[test]
    fn an_address_that_is_not_ours_is_refused_with_its_cause() {
        let found = check_free("192.0.2.1", 18_080);
        assert!(matches!(found, Err(PortError::Refused { .. })), "{found:?}");
    }

    #[test]
    fn a_unix_socket_is_taken_while_somebody_listens_even_with_a_full_queue() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.sock");
        let host = path.to_str().expect("plain text");
        assert!(check_free(host, 0).is_ok());
        let address = SocketAddrUnix::new(&path).expect("an address");
        let flags = SocketFlags::CLOEXEC;
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a socket");
        rustix::net::bind(&listener, &address).expect("bind");
        rustix::net::listen(&listener, 0).expect("listen");
        // The first question fills a queue of one; the next ones must not wait for its end.
        let callers: Vec<_> = (0..3)
            .filter_map(|_| nonblocking_caller(&address))
            .collect();
        assert!(!callers.is_empty());
        assert!(matches!(
            check_free(host, 0),
            Err(PortError::SocketTaken { .. })
        ));
        drop(listener);
        assert!(check_free(host, 0).is_ok(), "only its file is left");
    }

    fn nonblocking_caller(address: &SocketAddrUnix) -> Option<std::os::fd::OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
        connect(&socket, address).ok()?;
        Some(socket)
    }

    #[test]
    fn a_chosen_port_is_free_and_can_be_claimed() {
        let port = choose_free("127.0.0.1", |port| port.is_multiple_of(2).then_some(port));
        let port = port.expect("a port");
        assert!(port.is_multiple_of(2));
        assert!(AUTO_RANGE.contains(&port));
        assert!(check_free("127.0.0.1", port).is_ok());
    }
}
