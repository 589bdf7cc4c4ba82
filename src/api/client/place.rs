//! Where an owner is: a socket, or an address with its token.

use std::path::PathBuf;
use std::str::FromStr;

use hyper::http::uri::Authority;

/// Below a home, when only the home is named.
pub const SOCKET: &str = "state/llama-orch.sock";

/// The port of `http://` without one.
const HTTP_PORT: u16 = 80;

/// Where an owner is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Socket(PathBuf),
    /// Host and port.
    Tcp(String),
}

/// A text that names no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlace {
    #[error("{text:?} is neither unix:///PATH nor http://HOST:PORT")]
    Scheme { text: String },
    #[error(
        "{text:?}: nothing here speaks https; use a tunnel, such as ssh -L 9090:127.0.0.1:9090 HOST"
    )]
    Https { text: String },
    #[error("{text:?}: the path must begin with /, and lead to a home or to its socket")]
    Path { text: String },
    #[error("{text:?} must be http://HOST:PORT, without a path, user or query")]
    Address { text: String },
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let wrong = || text.to_owned();
        if text.starts_with("https://") {
            return Err(InvalidPlace::Https { text: wrong() });
        }
        if let Some(path) = text.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            if !path.is_absolute() {
                return Err(InvalidPlace::Path { text: wrong() });
            }
            return Ok(Self::Socket(match path.is_dir() {
                true => path.join(SOCKET),
                false => path,
            }));
        }
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(InvalidPlace::Scheme { text: wrong() });
        };
        let authority: Option<Authority> = rest.trim_end_matches('/').parse().ok();
        match authority {
            Some(authority) if !authority.as_str().contains('@') => {
                let port = authority.port_u16().unwrap_or(HTTP_PORT);
                Ok(Self::Tcp(format!("{}:{port}", authority.host())))
            }
            Some(_) | None => Err(InvalidPlace::Address { text: wrong() }),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_or_refused_with_what_is_allowed() {
        let tcp = |text: &str| Ok(Place::Tcp(text.to_owned()));
        let rows = [
            ("http://10.0.0.7:9090", tcp("10.0.0.7:9090")),
            ("http://gpu-box/", tcp("gpu-box:80")),
            ("http://[::1]:9090", tcp("[::1]:9090")),
            (
                "unix:///no/such.sock",
                Ok(Place::Socket("/no/such.sock".into())),
            ),
            (
                "unix:///",
                Ok(Place::Socket("/state/llama-orch.sock".into())),
            ),
            ("unix://a/b", Err("must begin with /")),
            ("https://gpu-box", Err("use a tunnel")),
            (
                "gpu-box:9090",
                Err("neither unix:///PATH nor http://HOST:PORT"),
            ),
            ("http://", Err("must be http://HOST:PORT")),
            ("http://a:b@gpu-box", Err("must be http://HOST:PORT")),
            ("http://gpu-box/path", Err("must be http://HOST:PORT")),
        ];
        for (text, expected) in rows {
            match (text.parse::<Place>(), expected) {
                (Ok(place), Ok(expected)) => assert_eq!(place, expected),
                (Err(error), Err(told)) => {
                    assert!(error.to_string().contains(told), "{error}");
                }
                (found, expected) => unreachable!("{text}: {found:?}, not {expected:?}"),
            }
        }
    }
}
