//! A probe that asks a server over HTTP how it is.
//!
//! It speaks to the address itself: proxies in the environment are never asked.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use super::{Address, Outcome, Verdict};

/// A health answer is a few bytes; more is not read.
const BODY_LIMIT: usize = 64 << 10;

/// How much of a wrong answer is repeated to people.
const EXCERPT_LIMIT: usize = 120;

/// llama-server's answer while it reads its model.
const LOADING: u16 = 503;

/// What to ask and what to expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub address: Address,
    pub path: String,
    pub expected_status: Vec<u16>,
    /// Text that the body must hold.
    pub expected_body: Option<String>,
    pub api_key: Option<String>,
}

/// Asks once; a server without `/health` is asked for `/v1/health`.
pub async fn probe(target: &Target, timeout: Duration) -> Outcome {
    let begun = Instant::now();
    let verdict = match tokio::time::timeout(timeout, ask(target)).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(reason)) => Verdict::Unreachable { reason },
        Err(_) => Verdict::TimedOut,
    };
    Outcome {
        verdict,
        took: begun.elapsed(),
    }
}

async fn ask(target: &Target) -> Result<Verdict, String> {
    let (status, body) = get(target, &target.path).await?;
    if status == 404 && target.path == "/health" {
        let (status, body) = get(target, "/v1/health").await?;
        return Ok(judge(target, status, &body));
    }
    Ok(judge(target, status, &body))
}

fn judge(target: &Target, status: u16, body: &str) -> Verdict {
    if target.expected_status.contains(&status) {
        let fits = target
            .expected_body
            .as_ref()
            .is_none_or(|text| body.contains(text.as_str()));
        if fits {
            return Verdict::Healthy;
        }
    } else if status == LOADING {
        return Verdict::Loading;
    }
    let excerpt = body.chars().take(EXCERPT_LIMIT).collect();
    Verdict::Wrong { status, excerpt }
}

async fn get(target: &Target, path: &str) -> Result<(u16, String), String> {
    match &target.address {
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port))
                .await
                .map_err(|error| error.to_string())?;
            exchange(stream, target, path).await
        }
        Address::Unix(socket) => {
            let stream = UnixStream::connect(socket)
                .await
                .map_err(|error| error.to_string())?;
            exchange(stream, target, path).await
        }
    }
}

async fn exchange<S>(stream: S, target: &Target, path: &str) -> Result<(u16, String), String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut request = Request::get(path)
        .header("host", target.address.authority())
        .header("user-agent", "llama-orch")
        .header("connection", "close");
    if let Some(key) = &target.api_key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), BODY_LIMIT)
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        Ok((
            status,
            String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        ))
    };
    // Driven here and not in a task of its own, so that a cancelled probe leaves nothing behind.
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    async fn check(answers: &'static [&'static str], expected: Verdict) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let port = listener.local_addr().expect("an address").port();
        let server = tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let mut request = [0; 1024];
                let _read = stream.read(&mut request).await.expect("a request");
                stream.write_all(answer.as_bytes()).await.expect("answered");
            }
        });
        let target = Target {
            address: Address::Tcp {
                host: "127.0.0.1".to_owned(),
                port,
            },
            path: "/health".to_owned(),
            expected_status: vec![200],
            expected_body: Some("ok".to_owned()),
            api_key: None,
        };
        assert_eq!(
            probe(&target, Duration::from_secs(10)).await.verdict,
            expected
        );
        server.await.expect("the server ended well");
    }

    #[tokio::test]
    async fn answers_become_verdicts() {
        check(
            &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"],
            Verdict::Healthy,
        )
        .await;
        check(
            &["HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"],
            Verdict::Loading,
        )
        .await;
        let wrong = Verdict::Wrong {
            status: 200,
            excerpt: "no".to_owned(),
        };
        check(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"], wrong).await;
        let fallback = [
            "HTTP/1.1 404 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ];
        check(Box::leak(Box::new(fallback)), Verdict::Healthy).await;
    }

    #[tokio::test]
    async fn nobody_there_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let target = Target {
            address: Address::Tcp {
                host: "127.0.0.1".to_owned(),
                port,
            },
            path: "/health".to_owned(),
            expected_status: vec![200],
            expected_body: None,
            api_key: None,
        };
        let outcome = probe(&target, Duration::from_secs(10)).await;
        assert!(matches!(outcome.verdict, Verdict::Unreachable { .. }));
    }
}
