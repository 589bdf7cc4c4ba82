//! Wire types, routes' contract and the typed client.

pub mod client;
mod client_diagnosis;
mod client_logs;
pub mod error;
pub mod socket;
pub mod wire;

/// The version of the contract; sent by both sides in [`VERSION_HEADER`].
pub const VERSION: &str = "1";

/// The header that carries [`VERSION`].
pub const VERSION_HEADER: &str = "llama-orch-api";

/// The longest a change of the fleet is waited for in one request, in milliseconds.
pub const LONG_POLL_LIMIT_MS: u64 = 30_000;
