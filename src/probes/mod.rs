//! Looking at servers and the machine; nothing here decides.

pub mod binary;
pub mod builds;
pub mod devices;
pub mod fdinfo;
pub mod flags;
pub mod gguf;
mod gpu;
pub mod host;
pub mod http;
pub mod metrics;
pub mod models;
#[cfg(feature = "nvml")]
mod nvml;
pub mod script;
pub mod tcp;

use std::path::PathBuf;
use std::time::Duration;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Healthy,
    /// It answers that it is still reading its model.
    Loading,
    /// It answers, but not as it should.
    Wrong {
        status: u16,
        excerpt: String,
    },
    Unreachable {
        reason: String,
    },
    TimedOut,
}

/// One look and how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub verdict: Verdict,
    pub took: Duration,
}

impl Address {
    /// Returns where a client on this machine reaches a server with this `host` and `port`; of a
    /// list of hosts the first counts. `None` without a port.
    #[must_use]
    pub fn of(host: &str, port: Option<u16>) -> Option<Self> {
        let first = host
            .split(',')
            .map(str::trim)
            .find(|host| !host.is_empty())?;
        if first.ends_with(".sock") {
            return Some(Self::Unix(PathBuf::from(first)));
        }
        let bare = first.trim_start_matches('[').trim_end_matches(']');
        // Nobody can connect to "any address"; such a server is reached on loopback.
        let host = match bare {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            other => other,
        };
        Some(Self::Tcp {
            host: host.to_owned(),
            port: port?,
        })
    }

    /// Returns the value of an HTTP `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_address_is_found_for_every_kind_of_host() {
        let rows = [
            ("127.0.0.1", "127.0.0.1:80"),
            ("0.0.0.0", "127.0.0.1:80"),
            ("::", "[::1]:80"),
            ("[fe80::1]", "[fe80::1]:80"),
            ("localhost,/run/x.sock", "localhost:80"),
            ("/run/x.sock", "localhost"),
        ];
        for (host, authority) in rows {
            assert_eq!(
                Address::of(host, Some(80))
                    .map(|found| found.authority())
                    .as_deref(),
                Some(authority)
            );
        }
        assert_eq!(Address::of("127.0.0.1", None), None);
    }
}
