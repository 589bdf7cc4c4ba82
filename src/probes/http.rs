//! Asking a server over HTTP: how it is, and whatever else it answers.
//!
//! It speaks to the address itself: proxies in the environment are never asked, redirects never
//! followed, and no connection is kept, because an open one holds a thread of llama-server.
//!
//! What is asked again and again, for every server of a fleet, goes over a bare connection of
//! hyper's: that takes a fraction of the work of reqwest, which sends the rest.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use reqwest::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::{Address, Outcome, Verdict};

/// The longest answer that is read: `/metrics` has some kilobytes, `/props` carries a chat template.
const BODY_LIMIT: usize = 1 << 20;

/// How much of a wrong answer is repeated to people.
const EXCERPT_LIMIT: usize = 120;

/// How we call ourselves.
const AGENT: &str = "llama-orch";

/// llama-server's answer while it reads its model.
const LOADING: u16 = 503;

/// All servers on TCP are sent to through one client; it keeps nothing between two requests.
static SHARED: LazyLock<Option<Client>> = LazyLock::new(|| builder().build().ok());

/// A way to one server.
#[derive(Clone, Debug)]
pub struct Server {
    address: Address,
    key: Option<Key>,
}

/// An API key; it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

/// What an answer must be like to count as healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub path: String,
    pub status: Vec<u16>,
    /// Text that the body must hold.
    pub body: Option<String>,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// No answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unanswered {
    pub reason: String,
}

impl Key {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the key itself, for an environment that only its own user can read.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Server {
    /// Prepares to ask the server at this address; `key` is sent along with every question.
    #[must_use]
    pub fn new(address: &Address, key: Option<Key>) -> Self {
        let address = address.clone();
        Self { address, key }
    }

    /// Asks for a path.
    ///
    /// # Errors
    ///
    /// Returns why no answer came. There is no time limit here.
    pub async fn get(&self, path: &str) -> Result<Answer, Unanswered> {
        let mut request = hyper::Request::get(path)
            .header(HOST, self.address.authority())
            .header(USER_AGENT, AGENT)
            .header(CONNECTION, "close");
        if let Some(authorization) = self.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::new()).map_err(|error| Unanswered {
            reason: format!("{path:?} cannot be asked for: {error}"),
        })?;
        match &self.address {
            Address::Tcp { host, port } => {
                exchange(TcpStream::connect((host.as_str(), *port)).await?, request).await
            }
            Address::Unix(socket) => exchange(UnixStream::connect(socket).await?, request).await,
        }
    }

    /// Posts JSON to a path.
    ///
    /// # Errors
    ///
    /// Returns why no answer came. There is no time limit here.
    pub async fn post(&self, path: &str, json: String) -> Result<Answer, Unanswered> {
        let client = match &self.address {
            Address::Tcp { .. } => SHARED.clone(),
            Address::Unix(socket) => builder().unix_socket(socket.as_path()).build().ok(),
        };
        let client = client.ok_or_else(|| Unanswered {
            reason: "no HTTP client could be made".to_owned(),
        })?;
        let mut request = client
            .post(format!("http://{}{path}", self.address.authority()))
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close")
            .body(json);
        if let Some(authorization) = self.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut answer = request.send().await?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await? {
            append(&mut body, &part)?;
        }
        Ok(Answer::new(status, &body))
    }

    fn authorization(&self) -> Option<String> {
        let Key(key) = self.key.as_ref()?;
        Some(format!("Bearer {key}"))
    }
}

impl Answer {
    fn new(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }
}

/// Sends one request over a connection of its own, and reads its answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    request: hyper::Request<Empty<Bytes>>,
) -> Result<Answer, Unanswered> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asking = async move {
        let mut answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(frame) = answer.frame().await {
            if let Some(part) = frame?.data_ref() {
                append(&mut body, part)?;
            }
        }
        Ok(Answer::new(status, &body))
    };
    let (mut asking, mut connection) = (pin!(asking), pin!(connection));
    tokio::select! {
        answer = &mut asking => answer,
        // It is at its end, and what it had read is still to be taken.
        _ = &mut connection => asking.await,
    }
}

fn append(body: &mut Vec<u8>, part: &[u8]) -> Result<(), Unanswered> {
    body.extend_from_slice(part);
    if body.len() > BODY_LIMIT {
        return Err(Unanswered {
            reason: format!("the answer is longer than {BODY_LIMIT} bytes"),
        });
    }
    Ok(())
}

/// Asks once how a server is; one without `/health` is asked for `/v1/health`.
pub async fn probe(server: &Server, expected: &Expected, timeout: Duration) -> Outcome {
    let begun = Instant::now();
    let verdict = match tokio::time::timeout(timeout, ask(server, expected)).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(Unanswered { reason })) => Verdict::Unreachable { reason },
        Err(_) => Verdict::TimedOut,
    };
    Outcome {
        verdict,
        took: begun.elapsed(),
    }
}

async fn ask(server: &Server, expected: &Expected) -> Result<Verdict, Unanswered> {
    let answer = server.get(&expected.path).await?;
    if answer.status == 404 && expected.path == "/health" {
        return Ok(judge(expected, &server.get("/v1/health").await?));
    }
    Ok(judge(expected, &answer))
}

fn judge(expected: &Expected, answer: &Answer) -> Verdict {
    let Answer { status, body } = answer;
    if expected.status.contains(status) {
        let fits = expected
            .body
            .as_ref()
            .is_none_or(|text| body.contains(text));
        if fits {
            return Verdict::Healthy;
        }
    } else if *status == LOADING {
        return Verdict::Loading;
    }
    Verdict::Wrong {
        status: *status,
        excerpt: body.chars().take(EXCERPT_LIMIT).collect(),
    }
}

fn builder() -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .pool_max_idle_per_host(0)
        .user_agent(AGENT)
}

impl From<reqwest::Error> for Unanswered {
    fn from(error: reqwest::Error) -> Self {
        deepest(&error)
    }
}

impl From<hyper::Error> for Unanswered {
    fn from(error: hyper::Error) -> Self {
        deepest(&error)
    }
}

impl From<io::Error> for Unanswered {
    fn from(error: io::Error) -> Self {
        deepest(&error)
    }
}

/// What a client says is about requests and URLs; a person wants to know what the kernel said.
fn deepest(error: &(dyn Error + 'static)) -> Unanswered {
    let mut cause = error;
    loop {
        let is_kernels = cause
            .downcast_ref::<io::Error>()
            .is_some_and(|system| system.raw_os_error().is_some());
        match cause.source().filter(|_| !is_kernels) {
            Some(deeper) => cause = deeper,
            None => {
                let reason = cause.to_string();
                return Unanswered { reason };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, UnixListener};

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    const LIMIT: Duration = Duration::from_secs(60);

    fn expected() -> Expected {
        Expected {
            path: "/health".to_owned(),
            status: vec![200],
            body: Some("ok".to_owned()),
        }
    }

    /// Reads one request, answers it and returns what was asked.
    async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) -> String {
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.expect("a request");
        stream.write_all(answer.as_bytes()).await.expect("answered");
        String::from_utf8_lossy(&request[..length]).to_lowercase()
    }

    /// Probes a server that gives these answers, one to each connection; returns the requests.
    async fn check(host: &str, answers: &[&str], verdict: Verdict) -> Vec<String> {
        let Ok(listener) = TcpListener::bind((host, 0)).await else {
            return Vec::new(); // a machine without IPv6
        };
        let address = Address::Tcp {
            host: host.to_owned(),
            port: listener.local_addr().expect("an address").port(),
        };
        let server = Server::new(&address, Some(Key::new("s3cret".to_owned())));
        let expected = expected();
        let answering = async {
            let mut asked = Vec::new();
            for answer in answers {
                let (stream, _) = listener.accept().await.expect("a client");
                asked.push(serve(stream, answer).await);
            }
            asked
        };
        let (outcome, asked) = tokio::join!(probe(&server, &expected, LIMIT), answering);
        assert_eq!(outcome.verdict, verdict);
        asked
    }

    #[tokio::test]
    async fn answers_become_verdicts() {
        let wrong = |status, excerpt: &str| Verdict::Wrong {
            status,
            excerpt: excerpt.to_owned(),
        };
        let missing = "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n";
        let elsewhere = "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n";
        let rows: [(&[&str], Verdict); 7] = [
            (&[OK], Verdict::Healthy),
            (
                &["HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"],
                Verdict::Loading,
            ),
            (
                &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"],
                wrong(200, "no"),
            ),
            (
                &["HTTP/1.1 500 Oh\r\ncontent-length: 3\r\n\r\nbad"],
                wrong(500, "bad"),
            ),
            (&[missing, OK], Verdict::Healthy),
            (&[missing, missing], wrong(404, "")),
            (&[elsewhere], wrong(302, "")),
        ];
        for (answers, verdict) in rows {
            check("127.0.0.1", answers, verdict).await;
        }
    }

    #[tokio::test]
    async fn the_key_is_sent_and_no_connection_is_kept_on_both_families() {
        for host in ["127.0.0.1", "::1"] {
            for asked in check(host, &[OK], Verdict::Healthy).await {
                assert!(
                    asked.contains("authorization: bearer s3cret\r\n"),
                    "{asked}"
                );
                assert!(asked.contains("connection: close\r\n"), "{asked}");
            }
        }
    }

    #[tokio::test]
    async fn a_unix_socket_is_asked_like_any_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.sock");
        let listener = UnixListener::bind(&path).expect("listen");
        let server = Server::new(&Address::Unix(path), None);
        let expected = expected();
        let answering = async {
            let (stream, _) = listener.accept().await.expect("a client");
            serve(stream, OK).await
        };
        let (outcome, asked) = tokio::join!(probe(&server, &expected, LIMIT), answering);
        assert_eq!(outcome.verdict, Verdict::Healthy);
        assert!(asked.starts_with("get /health http/1.1\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn nobody_there_is_said_in_the_kernels_words() {
        let nowhere = Address::Unix(Path::new("/nowhere/a.sock").to_owned());
        let outcome = probe(&Server::new(&nowhere, None), &expected(), LIMIT).await;
        let Verdict::Unreachable { reason } = outcome.verdict else {
            unreachable!("nobody can answer: {outcome:?}");
        };
        assert_eq!(reason, "No such file or directory (os error 2)");
    }

    #[tokio::test]
    async fn silence_is_a_time_out_and_a_flood_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().expect("an address").port(),
        };
        let server = Server::new(&address, None);
        let outcome = probe(&server, &expected(), Duration::from_millis(50)).await;
        assert_eq!(outcome.verdict, Verdict::TimedOut);
        let (_silent, _) = listener.accept().await.expect("the first client");
        let flooding = async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            serve(&mut stream, "HTTP/1.1 200 OK\r\n\r\n").await;
            // The reader hangs up long before the end.
            while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
        };
        let (answer, ()) = tokio::join!(server.get("/"), flooding);
        assert!(answer.expect_err("too long").reason.contains("longer than"));
    }
}
