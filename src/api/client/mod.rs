//! The one way in which the command line and the dashboard reach a supervisor.

pub mod other_build;
pub mod pace;
pub mod place;
mod planning;
mod watching;
mod work;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use self::other_build::{Lacks, OtherBuild};
use super::error::{ErrorBody, ErrorCode};
use super::wire::{CommandAnswer, FleetBody, InstanceBody, OwnerStatus, StopRequest};
use super::{LONG_POLL_LIMIT_MS, VERSION, VERSION_HEADER, socket};
use crate::domain::instance::InstanceName;
use crate::domain::run::StopMode;

/// An answer larger than this is not one of ours.
const BODY_LIMIT: usize = 64 << 20;

/// An owner answers at once; only a long poll may take longer.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The owner's router, called without a socket.
pub type LocalService =
    BoxCloneSyncService<Request<Full<Bytes>>, Response<axum::body::Body>, Infallible>;

/// A typed client of one supervisor, in this process or behind its socket.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
}

#[derive(Clone)]
enum Transport {
    Local(LocalService),
    Socket(PathBuf),
    Tcp {
        /// Host and port.
        address: String,
        token: Option<String>,
    },
}

/// Says who the owner is.
const STATUS: &str = "/status";

/// A question is asked again when its owner goes away in the middle of the answer: the next owner
/// answers it, or nobody is there and the files do.
const READ_TRIES: usize = 3;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens: the home has no owner.
    #[error("no owner answers on {}", .path.display())]
    NoOwner { path: PathBuf },
    /// Nobody listens at an address.
    #[error("cannot reach http://{address}: {source}")]
    Unreachable {
        address: String,
        source: std::io::Error,
    },
    #[error("the owner did not answer within {} s", .after.as_secs())]
    TimedOut { after: Duration },
    #[error("talk to the owner: {0}")]
    Transport(String),
    #[error("the owner speaks another version of the interface ({theirs}, here {VERSION})")]
    Version { theirs: String },
    /// The owner is another build, which cannot answer.
    #[error("{0}")]
    OtherBuild(Box<OtherBuild>),
    /// The owner's own words.
    #[error(transparent)]
    Refused(#[from] ErrorBody),
}

impl ClientError {
    /// Returns the code that decides the exit code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(body) => body.code,
            Self::NoOwner { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Transport(_)
            | Self::Version { .. }
            | Self::OtherBuild(_) => ErrorCode::OwnerError,
        }
    }

    /// Returns whether there was an owner a moment ago, or soon will be: worth another try.
    #[must_use]
    pub fn is_vanished_owner(&self) -> bool {
        match self {
            Self::NoOwner { .. } | Self::Unreachable { .. } | Self::Transport(_) => true,
            Self::Refused(body) => body.code == ErrorCode::OwnerError,
            Self::TimedOut { .. } | Self::Version { .. } | Self::OtherBuild(_) => false,
        }
    }
}

impl Client {
    /// Makes a client of the supervisor in this process.
    #[must_use]
    pub fn local(service: LocalService) -> Self {
        Self {
            transport: Transport::Local(service),
        }
    }

    /// Makes a client of whoever listens on the socket; connects anew for each request, so it
    /// outlives a change of owner.
    #[must_use]
    pub fn socket(path: &Path) -> Self {
        Self {
            transport: Transport::Socket(path.to_owned()),
        }
    }

    /// Makes a client of whoever listens at `HOST:PORT`; the token is sent when there is one.
    #[must_use]
    pub fn tcp(address: &str, token: Option<String>) -> Self {
        Self {
            transport: Transport::Tcp {
                address: address.to_owned(),
                token,
            },
        }
    }

    /// `GET /status`
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn status(&self) -> Result<OwnerStatus, ClientError> {
        self.get(STATUS, ANSWER_TIME).await
    }

    /// `GET /instances`: the present picture at once.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn instances(&self) -> Result<FleetBody, ClientError> {
        self.get("/instances", ANSWER_TIME).await
    }

    /// `GET /instances?after=G`: waits until a newer picture than `generation` exists, or `wait`
    /// is over, and returns the picture then.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn instances_after(
        &self,
        generation: u64,
        wait: Duration,
    ) -> Result<FleetBody, ClientError> {
        let millis = u64::try_from(wait.as_millis())
            .unwrap_or(u64::MAX)
            .min(LONG_POLL_LIMIT_MS);
        let path = format!("/instances?after={generation}&wait_ms={millis}");
        self.get(&path, ANSWER_TIME + Duration::from_millis(millis))
            .await
    }

    /// `GET /instances/{name}`
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn instance(&self, name: &InstanceName) -> Result<InstanceBody, ClientError> {
        self.get(&format!("/instances/{name}"), ANSWER_TIME).await
    }

    /// `POST /instances/{name}/start`
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn start(&self, name: &InstanceName) -> Result<CommandAnswer, ClientError> {
        self.post(&format!("/instances/{name}/start"), &serde_json::json!({}))
            .await
    }

    /// `POST /instances/{name}/stop`
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn stop(
        &self,
        name: &InstanceName,
        mode: StopMode,
    ) -> Result<CommandAnswer, ClientError> {
        let body = StopRequest { mode: mode.into() };
        self.post(&format!("/instances/{name}/stop"), &body).await
    }

    /// `POST /instances/{name}/restart`
    ///
    /// # Errors
    ///
    /// Returns the owner's refusal, or why there is no answer.
    pub async fn restart(
        &self,
        name: &InstanceName,
        mode: StopMode,
    ) -> Result<CommandAnswer, ClientError> {
        let body = StopRequest { mode: mode.into() };
        self.post(&format!("/instances/{name}/restart"), &body)
            .await
    }

    /// `POST /owner/yield`: asks a dashboard or a command to hand the home over.
    ///
    /// # Errors
    ///
    /// Returns the refusal of a daemon, or why there is no answer.
    pub async fn yield_home(&self) -> Result<(), ClientError> {
        let _empty: serde_json::Value = self.post("/owner/yield", &serde_json::json!({})).await?;
        Ok(())
    }

    /// `POST /owner/stop`: ends the owner; instances keep running.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn stop_owner(&self) -> Result<(), ClientError> {
        let _empty: serde_json::Value = self.post("/owner/stop", &serde_json::json!({})).await?;
        Ok(())
    }

    /// `POST /owner/autostart`: starts every autostart instance, also those the user had stopped.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn autostart(&self) -> Result<CommandAnswer, ClientError> {
        self.post("/owner/autostart", &serde_json::json!({})).await
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        deadline: Duration,
    ) -> Result<T, ClientError> {
        for _ in 1..READ_TRIES {
            match self.call(Method::GET, path, Bytes::new(), deadline).await {
                Err(ClientError::Transport(_)) => {}
                answer => return answer,
            }
        }
        self.call(Method::GET, path, Bytes::new(), deadline).await
    }

    async fn post<T: DeserializeOwned, B: Serialize>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.post_within(path, body, ANSWER_TIME).await
    }

    async fn post_within<T: DeserializeOwned, B: Serialize>(
        &self,
        path: &str,
        body: &B,
        deadline: Duration,
    ) -> Result<T, ClientError> {
        let bytes = serde_json::to_vec(body).map_err(transport)?;
        self.call(Method::POST, path, Bytes::from(bytes), deadline)
            .await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        deadline: Duration,
    ) -> Result<T, ClientError> {
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .header("host", "llama-orch")
            .header("content-type", "application/json")
            .header(VERSION_HEADER, VERSION)
            .body(Full::new(body))
            .map_err(transport)?;
        let (status, version, bytes) = tokio::time::timeout(deadline, self.send(request))
            .await
            .map_err(|_| ClientError::TimedOut { after: deadline })??;
        if let Some(theirs) = version
            && theirs != VERSION
        {
            return Err(ClientError::Version { theirs });
        }
        let (lacks, otherwise) = if status.is_success() {
            match serde_json::from_slice(&bytes) {
                Ok(answer) => return Ok(answer),
                Err(error) => (Lacks::Words(error.to_string()), transport(error)),
            }
        } else {
            match serde_json::from_slice::<ErrorBody>(&bytes) {
                Ok(body) if other_build::is_unknown_route(&body, path) => {
                    (Lacks::Route, ClientError::Refused(body))
                }
                Ok(body) => return Err(ClientError::Refused(body)),
                Err(_) => {
                    let answer = ClientError::Transport(format!("answer {status} to {path}"));
                    match status {
                        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                            (Lacks::Route, answer)
                        }
                        _ => return Err(answer),
                    }
                }
            }
        };
        let told = self.other_build(&method, path, lacks).await;
        Err(told.unwrap_or(otherwise))
    }

    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Option<String>, Bytes), ClientError> {
        match &self.transport {
            Transport::Local(service) => {
                let answer = match service.clone().oneshot(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                };
                collect(answer).await
            }
            Transport::Socket(path) => {
                let stream = socket::connect(path).map_err(|error| match error.kind() {
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                        ClientError::NoOwner { path: path.clone() }
                    }
                    _ => transport(error),
                })?;
                stream.set_nonblocking(true).map_err(transport)?;
                let stream = tokio::net::UnixStream::from_std(stream).map_err(transport)?;
                ask_over(stream, request).await
            }
            Transport::Tcp { address, token } => {
                let connected = tokio::net::TcpStream::connect(address).await;
                let stream = connected.map_err(|source| ClientError::Unreachable {
                    address: address.clone(),
                    source,
                })?;
                stream.set_nodelay(true).map_err(transport)?;
                let headers = request.headers_mut();
                headers.insert("host", header(address)?);
                if let Some(token) = token {
                    headers.insert("authorization", header(&format!("Bearer {token}"))?);
                }
                ask_over(stream, request).await
            }
        }
    }
}

async fn ask_over<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Option<String>, Bytes), ClientError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(transport)?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(transport)?;
    let collected = collect(answer).await;
    connection.abort();
    collected
}

/// What is sent to nobody else, so that it is never logged with the rest of a request.
fn header(text: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(text).map_err(transport)?;
    value.set_sensitive(true);
    Ok(value)
}

async fn collect<B>(answer: Response<B>) -> Result<(StatusCode, Option<String>, Bytes), ClientError>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = answer.status();
    let version = answer
        .headers()
        .get(VERSION_HEADER)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let bytes = Limited::new(answer.into_body(), BODY_LIMIT)
        .collect()
        .await
        .map_err(transport)?
        .to_bytes();
    Ok((status, version, bytes))
}

fn transport(error: impl std::fmt::Display) -> ClientError {
    ClientError::Transport(error.to_string())
}
