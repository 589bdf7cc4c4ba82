//! A probe that is satisfied when somebody accepts a connection.

use std::time::{Duration, Instant};

use tokio::net::{TcpStream, UnixStream};

use super::{Address, Outcome, Verdict};

/// Connects once.
pub async fn probe(address: &Address, timeout: Duration) -> Outcome {
    let begun = Instant::now();
    let connected = tokio::time::timeout(timeout, async {
        match address {
            Address::Tcp { host, port } => {
                TcpStream::connect((host.as_str(), *port)).await.map(drop)
            }
            Address::Unix(path) => UnixStream::connect(path).await.map(drop),
        }
    });
    let verdict = match connected.await {
        Ok(Ok(())) => Verdict::Healthy,
        Ok(Err(error)) => Verdict::Unreachable {
            reason: error.to_string(),
        },
        Err(_) => Verdict::TimedOut,
    };
    Outcome {
        verdict,
        took: begun.elapsed(),
    }
}
