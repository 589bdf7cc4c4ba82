//! The API beside the socket, for those whom `[api]` in `orchestrator.toml` lets in.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracing::{info, warn};

use super::http::admission::Admission;
use super::token::{Token, TokenError};
use crate::api::wire::TcpBody;
use crate::config::settings::{Access, ApiSettings};

/// The listener with what a caller has to bring.
pub struct Open {
    pub listener: TcpListener,
    pub address: SocketAddr,
    pub admission: Admission,
}

/// Why nothing listens although it should.
#[derive(Debug, thiserror::Error)]
pub enum TcpError {
    #[error("listen on {address}: {source}")]
    Bind {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Listens where the settings say; `None` when they say nothing.
///
/// # Errors
///
/// Returns why the address or the token cannot be had. An owner goes on without.
pub async fn open(settings: &ApiSettings) -> Result<Option<Open>, TcpError> {
    let Some(address) = settings.listen else {
        return Ok(None);
    };
    let admission = match &settings.access {
        Access::Token { file } => Admission::Token(Token::load(file)?),
        Access::Anybody => Admission::Anybody,
    };
    let bind = |source| TcpError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    info!(%address, "the API listens");
    if !address.ip().is_loopback() {
        warn!(%address, "the API is not encrypted; put what speaks TLS before it, or use a tunnel");
    }
    Ok(Some(Open {
        listener,
        address,
        admission,
    }))
}

/// Says what became of it, for `status`.
#[must_use]
pub fn describe(
    settings: &ApiSettings,
    opened: &Result<Option<Open>, TcpError>,
) -> Option<TcpBody> {
    let token_file = match &settings.access {
        Access::Token { file } => Some(file.display().to_string()),
        Access::Anybody => None,
    };
    let (url, problem) = match opened {
        Ok(None) => return None,
        Ok(Some(open)) => (Some(format!("http://{}", open.address)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Some(TcpBody {
        url,
        token_file,
        problem,
    })
}
