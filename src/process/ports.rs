//! Which ports are free, and who holds the others.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::os;

/// The range that `port = "auto"` is taken from: below the ephemeral ports, above the well-known.
const AUTO_RANGE: std::ops::Range<u16> = 18_080..28_080;

/// How many ports are tried before the search is given up.
const AUTO_TRIES: u16 = 512;

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortHolder {
    pub pid: i32,
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
    #[error("cannot listen on {host}:{port}: {source}")]
    Refused {
        host: String,
        port: u16,
        source: io::Error,
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
        write!(f, "pid {} ({})", self.pid, self.executable)
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
            if UnixStream::connect(host).is_ok() {
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
            Err(source) => {
                return Err(PortError::Refused {
                    host: host.to_owned(),
                    port,
                    source,
                });
            }
        }
    }
    Ok(())
}

/// Finds a port that is free now and not in `avoid`.
///
/// # Errors
///
/// Returns an error when none is free or the host cannot be listened on.
pub fn choose_free(host: &str, avoid: &[u16]) -> Result<u16, PortError> {
    for _ in 0..AUTO_TRIES {
        // By chance: two owners on one machine then seldom meet on the same port.
        let port = fastrand::u16(AUTO_RANGE);
        if avoid.contains(&port) {
            continue;
        }
        match check_free(host, port) {
            Ok(()) => return Ok(port),
            Err(PortError::Taken { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(PortError::NoneFree)
}

/// std sets SO_REUSEADDR, as llama-server does: a port in TIME_WAIT counts as free.
fn bind(host: &str, port: u16) -> io::Result<()> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => TcpListener::bind(SocketAddr::new(address, port)).map(drop),
        Err(_) => {
            for address in (host, port).to_socket_addrs()? {
                TcpListener::bind(address)?;
            }
            Ok(())
        }
    }
}

/// Finds the process that listens on a TCP port, if we may see it.
#[must_use]
pub fn holder_of(port: u16) -> Option<PortHolder> {
    let inodes = listening_inodes(port);
    if inodes.is_empty() {
        return None;
    }
    let pid = os::all_pids()
        .ok()?
        .into_iter()
        .find(|pid| holds_any(*pid, &inodes))?;
    let executable = fs::read_link(format!("/proc/{pid}/exe"))
        .unwrap_or_else(|_| PathBuf::from("?"))
        .display()
        .to_string();
    Some(PortHolder { pid, executable })
}

fn listening_inodes(port: u16) -> Vec<String> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) =
                (fields.get(1), fields.get(3), fields.get(9))
            else {
                continue;
            };
            let local_port = local
                .rsplit(':')
                .next()
                .and_then(|hex| u16::from_str_radix(hex, 16).ok());
            // 0A is LISTEN in include/net/tcp_states.h.
            if *state == "0A" && local_port == Some(port) {
                inodes.push(format!("socket:[{inode}]"));
            }
        }
    }
    inodes
}

fn holds_any(pid: i32, inodes: &[String]) -> bool {
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
            assert_eq!(holder.pid, std::process::id().cast_signed());
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
    fn a_chosen_port_is_free_and_not_avoided() {
        let port = choose_free("127.0.0.1", &[]).expect("a port");
        assert!(AUTO_RANGE.contains(&port));
        assert!(check_free("127.0.0.1", port).is_ok());
    }
}
